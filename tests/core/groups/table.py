"""Groups without an engine: real topics, logs and sections, peers that write into lists, and a store in a dict."""

from __future__ import annotations

from collections.abc import Sequence

from house.link import frames_of
from tickwire.core.groups import Groups
from tickwire.core.limits import Limits
from tickwire.core.store import GroupCursor, Life, StoredGroup, StoredTopic
from tickwire.core.topic import Topic
from tickwire.core.topics import Topics
from tickwire.fanout.log import Reading, TopicLog
from tickwire.fanout.peer import Peer
from tickwire.fanout.section import Section as Sealed
from tickwire.fanout.shelves import Shelves
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.limits import MSGPACK
from tickwire.wire.messages import Consume, Consumed, Delivery, Extended, Gap, Returned, Section, Window

Range = tuple[str, int, int]


class Table:
    """What an engine does with groups, step by step. With `durable` all sections go to the store, as on disk."""

    def __init__(self, durable: bool = False, limits: Limits | None = None, limit: int = 1_000) -> None:
        self.now = 1_000.0
        self.durable, self.limits, self.limit = (
            durable,
            limits or Limits(retain_seconds=1e9, retain_bytes=1 << 30),
            limit,
        )
        self.stored: dict[str, list[Sealed]] = {}
        self.rows: dict[tuple[str, str], GroupCursor] = {}
        self.names: dict[str, str] = {}
        self.letters: list[tuple[str, bytes]] = []
        self.seats: list[Seat] = []
        self.stamp = 0
        self._open(Life(1))

    def _open(self, life: Life) -> None:
        self.topics = Topics(self.limits, life, self.durable)
        self.shelves = Shelves()
        stored = [
            StoredGroup(name, pattern, [row for (group, _), row in self.rows.items() if group == name])
            for name, pattern in self.names.items()
        ]
        self.groups = Groups(self.topics, self.shelves, self.bury, stored, self.limit)

    def restart(self) -> None:
        """Everything that was not stored is gone, and so are the connections."""
        topics = [
            StoredTopic(name, log.oldest, log.end, self.topics[name].stamp, log.dropped_stamp)
            for name, log in ((name, topic.log) for name, topic in self.topics.items())
        ]
        self.seats = []
        self._open(Life(1, self.stamp, topics=topics))

    def bury(self, topic: str, payloads: list[bytes]) -> None:
        self.letters += [(topic, payload) for payload in payloads]

    def seat(self) -> Seat:
        seat = Seat(self, len(self.seats))
        self.seats.append(seat)
        return seat

    def publish(self, name: str, *payloads: bytes, format: int = MSGPACK) -> None:
        """Seal, store and show, as a flush does."""
        topic = self.topics.of(name, self.now)
        topic.append(list(payloads), sum(map(len, payloads)), format)
        self.stamp += 1
        sections = topic.seal(self.stamp, int(self.now * 1e6), self.now)
        self.stored.setdefault(name, []).extend(sections)
        self.topics.keep([(topic, sections)], self.stamp, self.now)
        self.groups.moved(topic)

    def count(self, name: str, messages: int) -> None:
        """Publish so many messages, each of which says its number."""
        first = self.topics[name].end if name in self.topics else self.topics.floor
        self.publish(name, *(b"%d" % offset for offset in range(first, first + messages)))

    def deal(self) -> bool:
        """Deal until there is nothing more for now, the store's answers included."""
        wrote = False
        for _ in range(10_000):
            again = self.groups.deal(self.now, lambda peer: self.seats[peer.id].writable)
            wrote = wrote or again
            if not self.read() and not again:
                break
        return wrote

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.groups.tick(self.now)
        self.deal()

    def read(self) -> bool:
        """Answer what the store was asked for; returns whether it was asked for anything."""
        wanted = self.shelves.take_wanted()
        for log, cursor in wanted:
            self.shelves.put(log, cursor, self.answer(log, cursor))
        return bool(wanted)

    def answer(self, log: TopicLog, cursor: int) -> Reading:
        start = max(cursor, log.stored_from or 0)
        kept = [section for section in self.stored[log.topic] if section.end > start]
        gap_end = kept[0].first if kept and kept[0].first > cursor else None
        return Reading(gap_end, kept[:3], kept[0].end)

    def drop_memory(self, name: str, keep: int = 0) -> None:
        """Memory lets go of a topic's sections; the store has them still, where it is durable."""
        log = self.topics[name].log
        self._drop(name, log.end - keep)

    def evict(self, name: str, before: int) -> None:
        """Nothing below that offset is kept any more."""
        log = self.topics[name].log
        self._drop(name, before)
        if log.stored_from is not None and before > log.stored_from:
            log.stored_from = before
            log.dropped_stamp = max(section.stamp for section in self.stored[name] if section.end <= before)

    def _drop(self, name: str, before: int) -> None:
        topic, retention = self.topics[name], self.topics.retention
        size = topic.log.bytes
        while not topic.log.empty and topic.log.start < before:
            retention.bytes -= topic.log.drop_oldest()
        retention._reclass(topic, size, topic.log.bytes)

    def free(self, name: str) -> Topic:
        """The topic's history is gone, and then the topic."""
        topic = self.topics[name]
        self.evict(name, topic.end)
        self.topics._free(topic)
        return topic

    def save(self) -> None:
        """What a batch does."""
        new, rows = self.groups.changes()
        self.names.update(new)
        self.rows.update({(row.group, row.topic): row for row in rows})


class Seat:
    """One connection. Its window is open or not."""

    def __init__(self, table: Table, id: int) -> None:
        self.table = table
        self.writable = True
        self.sent: list[bytes] = []
        self.peer = Peer(id, self.sent.append, lambda: 0)

    def consume(self, pattern: str, id: int = 1, group: str = "g", max_unacked: int = 1_000, attempts: int = 5) -> Seat:
        consume = Consume(id, pattern, group, max_unacked, 30_000, attempts)
        self.table.groups.join(self.peer, consume, self.peer.next_stream())
        self.table.deal()
        return self

    def share(self, pattern: str, id: int = 1, group: str = "live") -> Seat:
        self.table.groups.join_live(self.peer, id, pattern, group, self.peer.next_stream())
        return self

    def ack(self, *ranges: Range, id: int = 1) -> None:
        try:
            self.table.groups.consumed(self.peer, Consumed(id, list(ranges)))
        finally:
            self.table.deal()

    def nack(self, *ranges: Range, delay_ms: int | None = None, id: int = 1) -> None:
        try:
            self.table.groups.returned(self.peer, Returned(id, list(ranges), delay_ms), self.table.now)
        finally:
            self.table.deal()

    def extend(self, *ranges: Range, waiting: bool | None = None, id: int = 1) -> None:
        try:
            self.table.groups.extended(self.peer, Extended(id, list(ranges), waiting), self.table.now)
        finally:
            self.table.deal()

    def resize(self, max_unacked: int, id: int = 1) -> None:
        self.table.groups.resized(self.peer, Window(id, max_unacked))
        self.table.deal()

    def leave(self, id: int = 1) -> None:
        self.table.groups.leave(self.peer, id)
        self.table.deal()

    def die(self) -> None:
        self.table.groups.leave_all(self.peer)
        self.table.deal()

    def take(self) -> list[Delivery | Gap]:
        """What came since the last time."""
        stream = b"".join(self.sent)
        self.sent.clear()
        messages = [decode_from_broker(frame) for frame in frames_of(stream)]
        return [message for message in messages if isinstance(message, Delivery | Gap)]

    def sections(self) -> list[Section]:
        return [section for message in self.take() if isinstance(message, Delivery) for section in message.sections]

    def offsets(self) -> list[int]:
        """The offsets that came, whatever topic they are of."""
        return offsets_of(self.sections())


def offsets_of(sections: Sequence[Section]) -> list[int]:
    return [section.first + index for section in sections for index in range(len(section.payloads))]
