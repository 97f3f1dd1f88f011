"""The subscriptions of a session, and on which stream of this connection each of them comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tickwire.wire.encode import encode
from tickwire.wire.limits import HELLO_BYTES
from tickwire.wire.messages import Gap, Hello, Subscribe, Subscribed

from .buffer import Buffer
from .errors import TickwireError
from .feed import LIVE
from .messages import Section
from .routes import Routes


class Feeds:
    """By their ids, over all connections; by topic and by stream, on this one."""

    def __init__(self) -> None:
        self._feeds: dict[int, Buffer] = {}
        self._routes = Routes()  # those that are live on the shared stream
        self._streams: dict[int, Buffer] = {}  # those that have one of their own

    def __iter__(self) -> Iterator[Buffer]:
        return iter(list(self._feeds.values()))

    def __len__(self) -> int:
        return len(self._feeds)

    def add(self, feed: Buffer) -> None:
        self._feeds[feed.id] = feed

    def remove(self, id: int) -> Buffer | None:
        feed = self._feeds.pop(id, None)
        if feed is not None:
            self._routes.remove(feed)
            self._leave_stream(feed)
        return feed

    def give_up(self, error: TickwireError | None) -> None:
        """They all end."""
        feeds, self._feeds = list(self._feeds.values()), {}
        for feed in feeds:
            feed.end(error)

    # A connection's life.

    def ask(self, hello: Hello, frame_bytes: int) -> list[bytes]:
        """Put as many subscriptions into the HELLO as it may hold; returns the frames that ask for the others."""
        room = HELLO_BYTES - len(encode(hello)) - 256
        others: list[bytes] = []
        for feed in self:
            request = feed.request(frame_bytes)
            frame = encode(request)
            if isinstance(request, Subscribe) and len(frame) < room:
                hello.subscriptions.append(request)
                room -= len(frame)
            else:
                others.append(frame)
        return others

    def new_epoch(self, epoch: int) -> None:
        for feed in self:
            if feed.new_epoch(epoch):
                feed.wake()

    def disconnected(self) -> None:
        self._routes.clear()
        self._streams.clear()
        for feed in self._feeds.values():
            feed.disconnected()

    # What the broker says.

    def subscribed(self, reply: Subscribed, epoch: int) -> None:
        feed = self._feeds.get(reply.id)
        if feed is None:
            return  # unsubscribed meanwhile
        feed.subscribed(reply, epoch)
        if reply.stream == LIVE:
            self._routes.add(feed)
        else:
            self._streams[reply.stream] = feed
        feed.wake()

    def joined(self, id: int, stamp: int) -> None:
        feed = self._feeds.get(id)
        if feed is not None:
            self._leave_stream(feed)
            feed.joined(stamp)
            self._routes.add(feed)

    def ended(self, id: int, error: TickwireError | None) -> None:
        """There is no more to come: all of it was sent, or the broker would not have it."""
        feed = self.remove(id)
        if feed is not None:
            feed.end(error)

    def marked(self, stamp: int) -> None:
        for feed in self._feeds.values():
            feed.marked(stamp)

    def delivered(self, stream: int, sections: Iterable[tuple[int, Section]]) -> None:
        """The benchmark `sdk consume` stands on this: work is done per section, nothing per message."""
        if stream != LIVE:
            self._delivered_to_one(stream, sections)
            return
        touched: dict[int, Buffer] = {}
        for stamp, section in sections:
            for feed in self._routes.of(section.topic):
                feed.add(section, stamp)
                touched[feed.id] = feed
        for feed in touched.values():
            feed.wake()

    def _delivered_to_one(self, stream: int, sections: Iterable[tuple[int, Section]]) -> None:
        feed = self._streams.get(stream)
        if feed is not None:
            for stamp, section in sections:
                feed.add(section, stamp)
            feed.wake()

    def missed(self, gap: Gap) -> None:
        for feed in self._of(gap.stream, gap.topic):
            feed.missed(gap.topic, gap.start, gap.end, gap.reason)
            feed.wake()

    def _of(self, stream: int, topic: str) -> tuple[Buffer, ...]:
        if stream == LIVE:
            return self._routes.of(topic)
        feed = self._streams.get(stream)
        return () if feed is None else (feed,)

    def _leave_stream(self, feed: Buffer) -> None:
        for stream in [stream for stream, its in self._streams.items() if its is feed]:
            del self._streams[stream]
