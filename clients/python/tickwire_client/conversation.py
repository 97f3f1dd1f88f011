"""What passes between a client and its brokers, one connection after another. Pure: no sockets, no clock, no asyncio.

A connection is four calls: `opened()` gives the frame to open it with, `receive(frame)` takes one of the broker's,
`frames()` gives those to send, `closed()` says that it went. What the client wants lives on until the next one opens:
its subscriptions, their positions, what waits to be published, and what was published and not answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.limits import VERSION
from tickwire.wire.messages import (
    Ack,
    Bye,
    Consume,
    Consumed,
    Delivery,
    End,
    Extended,
    FromBroker,
    Groups,
    Hello,
    Join,
    List,
    Mark,
    Publish,
    Refresh,
    Refreshed,
    Refusal,
    Returned,
    Subscribe,
    Subscribed,
    Welcome,
)
from tickwire.wire.messages import Gap as GapFrame

from .delivery import sections_of
from .errors import Refused, TickwireError, WireError
from .feeds import Feeds
from .limits import Limits
from .messages import Group
from .outbox import Outbox
from .work import Work

_DELIVERY_KIND = Delivery.kind

Identity = tuple[str, int]  # a publisher's name, and which of its lives this is
Listed = Callable[[list[Group] | TickwireError], None]


class Conversation:
    """What was asked for, and what is owed. With an `identity`, what the broker had not answered is published again."""

    def __init__(
        self,
        *,
        token: str | None = None,
        software: str | None = None,
        max_bytes: int = 8 << 20,
        identity: Identity | None = None,
    ) -> None:
        self.epoch: int | None = None
        self.welcome: Welcome | None = None  # of this connection
        self.goodbye: Bye | None = None  # of this connection
        self.limits = Limits()
        self.feeds = Feeds()
        self.outbox = Outbox(max_bytes, identified=identity is not None)
        self.token: str | None = token  # for the next HELLO
        self.expires_at: float | None = None  # when the one that was shown last does, in Unix seconds
        self.on_refused: Callable[[str, Refused], None] | None = None  # of what nobody waits for, and what it was
        self.send_soon: Callable[[], None] = _nothing  # called where there is something to send that nobody waits for
        self._software, self._identity = software, identity
        self._connected = False
        self._control: deque[bytes] = deque()
        self._answering: dict[int, Work] = {}  # those with acknowledgments to send
        self._lists: dict[int, Listed] = {}
        self._last_id = 0

    # A connection's life.

    def opened(self) -> bytes:
        """The HELLO of a new connection, with as many of the subscriptions as it may hold; the others follow."""
        self._connected, self.welcome, self.goodbye = True, None, None
        publisher, incarnation = self._identity or (None, None)
        hello = Hello(client=self._software, token=self.token, publisher=publisher, incarnation=incarnation)
        self._control += self.feeds.ask(hello, self.limits.frame_bytes)
        self._control += [encode(List(id)) for id in self._lists]
        return encode(hello)

    def receive(self, frame: bytes) -> None:
        """Take one frame of the broker. Raises WireError where it breaks the protocol: the connection is useless."""
        if len(frame) > 1 and frame[1] == _DELIVERY_KIND and 0x93 <= frame[0] <= 0x9F:
            if self.welcome is None or self.epoch is None:
                raise WireError("bad_frame", "a delivery came before the welcome")
            self.feeds.delivered(*sections_of(frame, self.epoch))
            return
        message = decode_from_broker(frame)
        if message is not None:
            self._take(message)

    def frames(self, now: float = 0.0) -> Iterator[bytes]:
        """The frames to send now, in seconds of a steady clock.

        A publish leaves after the welcome; it counts as sent once it is taken here.
        """
        while True:
            if self._control:
                yield self._control.popleft()
            elif self._answering:
                self._answer(self._answering.popitem()[1])
            else:
                frame = self.outbox.next_frame(now) if self.welcome is not None else None
                if frame is None:
                    return
                yield frame

    def closed(self) -> None:
        """The connection went. What was sent and not answered may have been stored or not."""
        self._connected, self.welcome = False, None
        self._control.clear()
        self._answering.clear()
        self.feeds.disconnected()
        self.outbox.disconnected()

    def give_up(self, error: TickwireError, feeds_error: TickwireError | None = None) -> None:
        """There will be no other connection. Subscriptions just end, unless there is an error for them too."""
        lists, self._lists = self._lists, {}
        for listed in lists.values():
            listed(error)
        self.feeds.give_up(feeds_error)
        self.outbox.give_up(error)

    def _answer(self, work: Work) -> None:
        self._answering.pop(work.id, None)
        for frame in work.answers():
            self.outbox.untold()
            self._control.append(frame)

    # What the broker says.

    def _take(self, message: FromBroker) -> None:
        take = _TAKES.get(type(message))
        if take is not None:
            take(self, message)
        # UNSUBSCRIBED needs nothing: the feed went when the application said so. A BEAT is only to be heard.

    def _welcomed(self, welcome: Welcome) -> None:
        if welcome.version != VERSION:
            raise WireError(
                "version_unsupported", f"the broker speaks version {welcome.version}, this client {VERSION}"
            )
        same_epoch = self.epoch == welcome.epoch
        self.welcome, self.epoch = welcome, welcome.epoch
        self.limits = Limits(welcome.limits)
        self._expires(welcome.limits.get("token_expires_us"))
        self.outbox.welcomed(self.limits, same_epoch)
        self.feeds.new_epoch(welcome.epoch)

    def refresh(self, token: str) -> None:
        """Show the broker a newer token."""
        self.token = token
        self._last_id += 1
        self._control.append(encode(Refresh(self._last_id, token)))

    def _refreshed(self, reply: Refreshed) -> None:
        self._expires(reply.expires_us)

    def _expires(self, expires_us: int | None) -> None:
        self.expires_at = None if expires_us is None else expires_us / 1e6

    def _subscribed(self, reply: Subscribed) -> None:
        self.feeds.subscribed(reply, self.epoch or 0)

    def _joined(self, join: Join) -> None:
        self.feeds.joined(join.id, join.stamp)

    def _ended(self, end: End) -> None:
        self.feeds.ended(end.id, None)

    def _marked(self, mark: Mark) -> None:
        self.feeds.marked(mark.stamp)

    def _missed(self, gap: GapFrame) -> None:
        self.feeds.missed(gap)

    def _said_goodbye(self, goodbye: Bye) -> None:
        self.goodbye = goodbye

    def _acknowledged(self, ack: Ack) -> None:
        for receipt in ack.receipts:
            try:
                self.outbox.acknowledged(self.epoch or 0, receipt)
            except ValueError as error:
                raise WireError("bad_field", f"ACK: {error}", Ack.kind) from None

    def _listed(self, groups: Groups) -> None:
        listed = self._lists.pop(groups.id, None)
        if listed is not None:
            listed([Group(each.name, each.pattern, each.members, each.lag, each.unacked) for each in groups.groups])

    def _refused(self, refusal: Refusal) -> None:
        error = Refused(refusal.code, refusal.text, refusal.details)
        kind, id = refusal.refused, refusal.id
        if kind == Publish.kind and id is not None:
            self.outbox.refused(id, error)
        elif kind in (Subscribe.kind, Consume.kind) and id is not None:
            self.feeds.ended(id, error)
        elif kind == List.kind and id in self._lists:
            self._lists.pop(id)(error)
        elif self.on_refused is not None and kind in _UNAWAITED:
            self.on_refused(_UNAWAITED[kind], error)


def _nothing() -> None:
    pass


_TAKES: dict[type[Any], Callable[[Conversation, Any], None]] = {
    Welcome: Conversation._welcomed,
    Bye: Conversation._said_goodbye,
    Refusal: Conversation._refused,
    Ack: Conversation._acknowledged,
    GapFrame: Conversation._missed,
    Mark: Conversation._marked,
    Subscribed: Conversation._subscribed,
    Join: Conversation._joined,
    End: Conversation._ended,
    Groups: Conversation._listed,
    Refreshed: Conversation._refreshed,
}
# What may be refused though nobody waits for the answer.
_UNAWAITED = {
    Publish.kind: "a publish_nowait",
    Consumed.kind: "an acknowledgment",
    Returned.kind: "what a consumer gave back",
    Extended.kind: "more time for a message",
    Refresh.kind: "a newer token",
}
