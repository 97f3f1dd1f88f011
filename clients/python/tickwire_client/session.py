"""The client's side of a conversation, over all its connections. Pure: no sockets, no clock, no asyncio.

A connection is four calls: `opened()` gives the frame to open it with, `receive(frame)` takes one of the broker's,
`frames()` gives those to send, `closed()` says that it went. The session lives on, with its subscriptions, their
positions and what waits to be published, until the next connection opens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.limits import HELLO_BYTES, MSGPACK, VERSION
from tickwire.wire.messages import (
    Ack,
    Beat,
    Bye,
    Delivery,
    FromBroker,
    Hello,
    Mark,
    Publish,
    Refusal,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)
from tickwire.wire.messages import Gap as GapFrame

from .delivery import sections_of
from .errors import Refused, TickwireError, WireError
from .feed import Feed
from .limits import Limits
from .messages import Receipt
from .outbox import Outbox
from .publishes import Entry, Whole, check_batch, check_message, check_pattern
from .routes import Routes

_LIVE = 0  # the stream that all subscriptions of a connection share
_DELIVERY_KIND = Delivery.kind


class Session:
    """What a client knows and wants."""

    def __init__(
        self,
        *,
        token: str | None = None,
        software: str | None = None,
        max_bytes: int = 8 << 20,
    ) -> None:
        self.epoch: int | None = None
        self.welcome: Welcome | None = None  # of this connection
        self.goodbye: Bye | None = None  # of this connection
        self.limits = Limits()
        self.feeds: dict[int, Feed] = {}
        self.outbox = Outbox(max_bytes)
        self.on_refused: Callable[[Refused], None] | None = None  # of a publish that nobody waits for
        self._token, self._software = token, software
        self._connected = False
        self._control: deque[bytes] = deque()
        self._routes = Routes()
        self._last_id = 0

    # A connection's life.

    def opened(self) -> bytes:
        """The HELLO of a new connection, with as many of the subscriptions as it may hold; the others follow."""
        self._connected, self.welcome, self.goodbye = True, None, None
        hello = Hello(client=self._software, token=self._token)
        room = HELLO_BYTES - len(encode(hello)) - 256
        for feed in self.feeds.values():
            request = feed.request()
            frame = encode(request)
            room -= len(frame)
            if room > 0:
                hello.subscriptions.append(request)
            else:
                self._control.append(frame)
        return encode(hello)

    def receive(self, frame: bytes) -> None:
        """Take one frame of the broker. Raises WireError where it breaks the protocol: the connection is useless."""
        if len(frame) > 1 and frame[1] == _DELIVERY_KIND and 0x93 <= frame[0] <= 0x9F:
            self._deliver(frame)
            return
        message = decode_from_broker(frame)
        if message is not None:
            self._take(message)

    def frames(self) -> Iterator[bytes]:
        """The frames to send now. A publish leaves after the welcome; it counts as sent once it is taken here."""
        while True:
            if self._control:
                yield self._control.popleft()
                continue
            frame = self.outbox.next_frame() if self.welcome is not None else None
            if frame is None:
                return
            yield frame

    def closed(self) -> None:
        """The connection went. What was sent and not answered may have been stored or not."""
        self._connected, self.welcome = False, None
        self._control.clear()
        self._routes.clear()
        for feed in self.feeds.values():
            feed.disconnected()
        self.outbox.disconnected()

    def give_up(self, error: TickwireError, feeds_error: TickwireError | None = None) -> None:
        """There will be no other connection. Subscriptions just end, unless there is an error for them too."""
        feeds, self.feeds = list(self.feeds.values()), {}
        for feed in feeds:
            feed.end(feeds_error)
        self.outbox.give_up(error)

    # What the application wants.

    def subscribe(
        self, pattern: str, *, max_messages: int = 1 << 16, max_bytes: int = 16 << 20, drop: bool = False
    ) -> Feed:
        """Ask for the topics that match. Raises Refused where the pattern breaks the grammar."""
        check_pattern(pattern)
        self._last_id += 1
        feed = self.feeds[self._last_id] = Feed(self._last_id, pattern, max_messages, max_bytes, drop)
        if self._connected:
            self._control.append(encode(feed.request()))
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """Want no more of it. It gets nothing from here on."""
        if feed.ended:
            return
        feed.end()
        if self._connected:
            self._control.append(encode(Unsubscribe(feed.id)))
        self.feeds.pop(feed.id, None)
        self._routes.remove(feed)

    def check(self, topic: str, payload: bytes, format: int) -> None:
        """Raise Refused where the broker takes no such topic, or no payload as large as this."""
        check_message(topic, payload, format, self.limits)

    def post(self, topic: str, payload: bytes, format: int = MSGPACK) -> None:
        """Publish without an acknowledgment. Raises Refused where the broker would refuse it."""
        self.check(topic, payload, format)
        self.outbox.post(topic, payload, format)

    def publish(
        self, topic: str, payload: bytes, done: Callable[[Receipt | TickwireError], None], format: int = MSGPACK
    ) -> Entry:
        """Publish one message and have `done` called with its receipt. Raises Refused where the broker would."""
        self.check(topic, payload, format)
        entry = Entry(topic, payload, format, done)
        self.outbox.put(entry)
        return entry

    def publish_whole(self, entries: list[Entry], done: Callable[[TickwireError | None], None]) -> Whole:
        """Publish messages that stand or fall together. Raises Refused where they are more than a frame holds.

        With no entry it is a barrier: `done` is called when everything given before has acted.
        """
        check_batch(entries, self.limits)
        whole = Whole(entries, done)
        self.outbox.put(whole)
        return whole

    def beat(self, time_us: int) -> None:
        """Say that the client is there."""
        if self._connected:
            self._control.append(encode(Beat(time_us)))

    def bye(self, text: str) -> None:
        """Say that the close follows."""
        if self._connected:
            self._control.append(encode(Bye("going_away", text)))

    # What the broker says.

    def _deliver(self, frame: bytes) -> None:
        """The benchmark `sdk consume` stands on this: work is done per section, nothing per message."""
        if self.welcome is None or self.epoch is None:
            raise WireError("bad_frame", "a delivery came before the welcome")
        stream, sections = sections_of(frame, self.epoch)
        if stream != _LIVE:
            return
        touched: dict[int, Feed] = {}
        for stamp, section in sections:
            for feed in self._routes.of(section.topic):
                feed.add(section, stamp)
                touched[feed.id] = feed
        for feed in touched.values():
            feed.wake()

    def _take(self, message: FromBroker) -> None:
        if isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Bye):
            self.goodbye = message
        elif isinstance(message, Refusal):
            self._refused(message)
        elif isinstance(message, Ack):
            self._acknowledged(message)
        elif isinstance(message, GapFrame):
            self._missed(message)
        elif isinstance(message, Mark):
            for feed in self.feeds.values():
                if feed.live:
                    feed.marked(message.stamp)
        elif isinstance(message, Subscribed):
            self._subscribed(message)
        # UNSUBSCRIBED needs nothing: the feed went when the application said so. A BEAT is only to be heard.

    def _welcomed(self, welcome: Welcome) -> None:
        if welcome.version != VERSION:
            raise WireError(
                "version_unsupported", f"the broker speaks version {welcome.version}, this client {VERSION}"
            )
        self.welcome, self.epoch = welcome, welcome.epoch
        self.limits = self.outbox.limits = Limits(welcome.limits)
        for feed in list(self.feeds.values()):
            if feed.new_epoch(welcome.epoch):
                feed.wake()

    def _subscribed(self, reply: Subscribed) -> None:
        feed = self.feeds.get(reply.id)
        if feed is None or self.epoch is None:
            return  # unsubscribed meanwhile
        feed.subscribed(reply, self.epoch)
        self._routes.add(feed)
        feed.wake()

    def _acknowledged(self, ack: Ack) -> None:
        for receipt in ack.receipts:
            try:
                self.outbox.acknowledged(self.epoch or 0, receipt)
            except ValueError as error:
                raise WireError("bad_field", f"ACK: {error}", Ack.kind) from None

    def _missed(self, gap: GapFrame) -> None:
        if gap.stream == _LIVE:
            for feed in self._routes.of(gap.topic):
                feed.missed(gap.topic, gap.start, gap.end, gap.reason)
                feed.wake()

    def _refused(self, refusal: Refusal) -> None:
        error = Refused(refusal.code, refusal.text, refusal.details)
        if refusal.refused == Publish.kind and refusal.id is not None:
            self.outbox.refused(refusal.id, error)
        elif refusal.refused == Subscribe.kind and refusal.id is not None:
            feed = self.feeds.pop(refusal.id, None)
            if feed is not None:
                self._routes.remove(feed)
                feed.end(error)
        elif refusal.refused != Unsubscribe.kind and self.on_refused is not None:
            self.on_refused(error)
