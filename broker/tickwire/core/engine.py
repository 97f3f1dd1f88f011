"""The engine: the flush that turns what was published into what is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tickwire import __version__
from tickwire.fanout.catchup import LIVE, SHARED_BY, CatchUp
from tickwire.fanout.deliver import Group, Outcome, deliver
from tickwire.fanout.frame import Deflater, share
from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import Audience, Peer
from tickwire.fanout.section import Section
from tickwire.wire.encode import encode, join_sections
from tickwire.wire.messages import Ack

from .limits import Limits
from .readership import Readership
from .stats import Stats
from .store import Store
from .topic import Topic
from .topics import Topics

JOINED_BYTES = 256 << 10  # sections are joined up to here; one larger section is a delivery of its own
RUN_BYTES = 64  # what a run costs beside its payloads, so that many empty ones are not free


class Engine:
    """Takes payloads, subscriptions and time; a flush writes to peers what they are due. Knows no socket and no clock.

    `due` says that something waits for a flush. Times are seconds of a steady clock; `time_us` is the wall clock.
    """

    def __init__(
        self, limits: Limits, store: Store, deflater: Deflater | None = None, server: str = f"tickwire/{__version__}"
    ) -> None:
        self.limits, self.store, self.server = limits, store, server
        life = store.open()
        self.epoch, self.stamp = life.epoch, life.stamp
        self.stats = Stats()
        self.due = False
        self.pending_bytes = 0
        self.topics = Topics(limits, life.floor)
        self.readership = Readership(self.topics, life.stamp)
        self.catch_up = CatchUp(deflater, self.readership.reads_since)
        self._deflater = deflater
        self._touched: list[Topic] = []
        self._replying: dict[Peer, None] = {}
        self._publishing: list[Peer] = []
        self._receipts: dict[Peer, list[list[int]]] = {}
        self._time_us = 0

    # What sessions ask for.

    def reply(self, peer: Peer, frame: bytes) -> None:
        """Owe a peer a frame; it leaves at the next flush."""
        peer.reply(frame)
        self._replying[peer] = None
        self.due = True

    def append(self, peer: Peer, topic: Topic, payloads: list[bytes], size: int, format: int) -> int:
        """Put payloads into the topic's pending run; returns the first offset."""
        if not topic.touched:
            topic.touched = self.due = True
            self._touched.append(topic)
        cost = size + RUN_BYTES
        self.pending_bytes += cost
        if not peer.pending:
            self._publishing.append(peer)
        peer.pending += cost
        return topic.append(payloads, size, format)

    def acknowledge(self, peer: Peer, receipt: list[int]) -> None:
        """Answer a publish, `[id, first offset of each run]`, once what it published is kept."""
        receipts = self._receipts.get(peer)
        if receipts is None:
            self._receipts[peer] = [receipt]
        else:
            receipts.append(receipt)
        self.due = True

    def leave(self, peer: Peer) -> None:
        """The peer's connection is gone."""
        peer.cursors = None
        self.readership.leave(peer)
        self._replying.pop(peer, None)
        self._receipts.pop(peer, None)
        self.catch_up.behind.pop(peer, None)

    # What the server's timers ask for.

    def flush(self, now: float, time_us: int, idle: bool = False) -> None:
        """Seal what is pending, keep it, acknowledge it, and write to each peer what it is due."""
        self.due = False
        self.stats.flushes += 1
        sealed = self._seal(now, time_us)
        self.store.keep([(topic.name, section) for topic, sections in sealed for section in sections])
        groups = self._show(sealed, now, idle)
        self._acknowledge()
        replying, self._replying = self._replying, {}
        self._settle(deliver(groups, replying, self.limits.unsent_bytes))
        for peer in self._publishing:
            peer.pending = 0
        self._publishing.clear()
        self.pending_bytes = 0
        if self.catch_up.behind:
            self.sweep(idle)

    def sweep(self, idle: bool = False) -> None:
        """Bring the peers that are behind forward, as far as their sockets have drained."""
        for peer in self.catch_up.sweep(self.stamp, idle):
            self.stats.came_level += 1
            self.readership.regroup(peer)

    def tick(self, now: float) -> None:
        """Once a second: forget what is too old, and topics that have neither readers nor history."""
        self.topics.tick(now, lambda topic: bool(self.readership.interests(topic)))

    # The steps of a flush.

    def _seal(self, now: float, time_us: int) -> list[tuple[Topic, list[Section]]]:
        if not self._touched:
            return []
        self.stamp += 1
        self.readership.stamped(self.stamp)
        self._time_us = time_us = max(time_us, self._time_us)
        touched, self._touched = self._touched, []
        for topic in touched:
            self.stats.messages_in += topic.end - topic.log.end
            self.stats.payload_bytes_in += topic.pending_bytes
        return [(topic, topic.seal(self.stamp, time_us, now)) for topic in touched]

    def _show(self, sealed: list[tuple[Topic, list[Section]]], now: float, idle: bool) -> list[Group]:
        """Put sections into their logs, and join those with the same audience."""
        joined: dict[Audience, _Joined] = {}
        for topic, sections in sealed:
            self.topics.keep(topic, sections, now)
            self.stats.sections += len(sections)
            audience = self.readership.audience(topic, sections[0].first)
            if audience.live:
                mine = joined.get(audience)
                if mine is None:
                    mine = joined[audience] = _Joined([], [])
                mine.sections += sections
                mine.began.append((topic.log, sections[0].first))
        return [self._group(audience, mine, idle) for audience, mine in joined.items()]

    def _group(self, audience: Audience, mine: _Joined, idle: bool) -> Group:
        worth = audience.inflating >= (1 if idle else SHARED_BY)
        frames = [join_sections(LIVE, [section.data for section in part]) for part in _parts(mine.sections)]
        messages = sum([section.end - section.first for section in mine.sections])
        self.stats.deliveries += messages * len(audience.live)
        return Group(audience, share(frames, self._deflater if worth else None), mine.began)

    def _acknowledge(self) -> None:
        for peer, receipts in self._receipts.items():
            self.stats.acks += len(receipts)
            peer.reply(encode(Ack(receipts)))
            self._replying[peer] = None
        self._receipts.clear()

    def _settle(self, outcome: Outcome) -> None:
        """Take note of who fell behind, and put the worst behind while all that is unsent is too much."""
        self.stats.writes_lost += outcome.gone
        late = outcome.late
        total = sum(outcome.unsent.values())
        if total > self.limits.unsent_total_bytes:
            for peer in sorted(outcome.unsent, key=outcome.unsent.__getitem__, reverse=True):
                peer.fall_behind()
                late.append(peer)
                total -= outcome.unsent[peer]
                if total <= self.limits.unsent_total_bytes:
                    break
        self.stats.fell_behind += len(late)
        for peer in late:
            self.catch_up.behind[peer] = None
        self.readership.fell(late)


@dataclass(slots=True)
class _Joined:
    """What one audience gets of a flush."""

    sections: list[Section]
    began: list[tuple[TopicLog, int]]


def _parts(sections: list[Section]) -> Iterator[list[Section]]:
    """The sections of each delivery: as many as fit, at least one."""
    part: list[Section] = []
    size = 0
    for section in sections:
        if part and size + len(section.data) > JOINED_BYTES:
            yield part
            part, size = [], 0
        part.append(section)
        size += len(section.data)
    if part:
        yield part
