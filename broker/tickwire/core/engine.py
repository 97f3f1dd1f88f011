"""The engine: topics, subscriptions and the flush that turns what was published into what is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tickwire import __version__
from tickwire.fanout.audience import Audience, Audiences
from tickwire.fanout.catchup import LIVE, SHARED_BY, CatchUp
from tickwire.fanout.deliver import Group, Outcome, deliver
from tickwire.fanout.frame import Deflater, share
from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import Interest, Peer
from tickwire.fanout.section import Section
from tickwire.wire.encode import encode, join_sections
from tickwire.wire.messages import Ack
from tickwire.wire.topics import is_exact, matcher

from .errors import TooManyTopics
from .index import Index
from .limits import Limits
from .retention import Retention
from .stats import Stats
from .store import Store
from .topic import Topic

DELIVERY_BYTES = 256 << 10  # sections are joined up to here; one larger section is a delivery of its own

_CHANGE_BITS = 24
_STRAYED = 1_000  # subscriptions ended by one peer while it was behind that are remembered
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
        self.epoch, self.stamp, self.floor = life.epoch, life.stamp, life.floor
        self.freed_stamp = 0  # the newest stamp of any topic that was freed
        self.stats = Stats()
        self.due = False
        self.pending_bytes = 0
        self.topics: dict[str, Topic] = {}
        self.index = Index()
        self.retention = Retention(limits.retain_total_bytes, limits.free_topic_after)
        self.catch_up = CatchUp(deflater, self._reads_since)
        self._deflater = deflater
        self._audiences = Audiences()
        self._by_stamp: dict[Topic, None] = {}  # topics in the order of their last flush
        self._touched: list[Topic] = []
        self._replying: dict[Peer, None] = {}
        self._publishing: list[Peer] = []
        self._receipts: dict[Peer, list[list[int]]] = {}
        self._time_us = 0
        self._changes = 0  # of subscriptions, since the last stamp
        self._falls = 0  # grows whenever some peer that is behind may lack a cursor

    # What sessions ask for.

    def reply(self, peer: Peer, frame: bytes) -> None:
        """Owe a peer a frame; it leaves at the next flush."""
        peer.reply(frame)
        self._replying[peer] = None
        self.due = True

    def topic(self, name: str, now: float) -> Topic:
        """The topic of a checked name, made where there is none. Raises TooManyTopics."""
        topic = self.topics.get(name)
        if topic is None:
            if len(self.topics) >= self.limits.topics:
                raise TooManyTopics(self.limits.topics)
            limits = self.limits
            topic = Topic(name, self.floor, limits.retain_bytes, limits.retain_seconds, now)
            self.topics[name] = topic
            self.retention.created(topic, now)
        return topic

    def claim(self, names: list[str], now: float) -> list[Topic]:
        """The topics of checked names, all of them or TooManyTopics."""
        new = {name for name in names if name not in self.topics}
        if len(self.topics) + len(new) > self.limits.topics:
            raise TooManyTopics(self.limits.topics)
        return [self.topic(name, now) for name in names]

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

    def subscribe(self, peer: Peer, id: int, pattern: str, now: float) -> int | None:
        """Give the peer a subscription under a new id; returns the topic's next offset, if the pattern names one."""
        offset = None
        if is_exact(pattern):
            topic = self.topic(pattern, now)
            topic.matched = -1
            offset = topic.log.end
        interest = peer.subscriptions[id] = self.index.add(pattern)
        if peer not in interest.peers:
            interest.peers[peer] = self._moment()
            self._audiences.changed(interest)
            self._falls += peer.behind
        return offset

    def unsubscribe(self, peer: Peer, id: int) -> None:
        """Take a subscription that the peer has from it."""
        interest = peer.subscriptions.pop(id)
        if not any(other is interest for other in peer.subscriptions.values()):
            if peer.behind:
                self._stray(peer, interest)
            self._forsake(peer, interest)

    def leave(self, peer: Peer) -> None:
        """The peer's connection is gone."""
        peer.cursors = None
        for interest in set(peer.subscriptions.values()):
            self._forsake(peer, interest)
        peer.subscriptions.clear()
        self._replying.pop(peer, None)
        self._receipts.pop(peer, None)
        self.catch_up.behind.pop(peer, None)

    def topic_moved_since(self, name: str, stamp: int) -> tuple[str, int, int] | None:
        """(topic, from, to) if it got messages after a stamp."""
        topic = self.topics[name]
        return (name, topic.moved_since(stamp), topic.log.end) if topic.stamp > stamp else None

    def moved_since(self, pattern: str, stamp: int, most: int, looks: int) -> Moved:
        """What matches of the topics that got messages after a stamp, looking at no more than `looks` of them."""
        matches = matcher(pattern).fullmatch
        moved = Moved([], False, 0)
        for topic in reversed(self._by_stamp):
            if topic.stamp <= stamp:
                break
            if len(moved.topics) == most or moved.looks == looks:
                moved.more = True
                break
            moved.looks += 1
            if matches(topic.name):
                moved.topics.append((topic.name, topic.moved_since(stamp), topic.log.end))
        return moved

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
            self._regroup(peer)

    def tick(self, now: float) -> None:
        """Once a second: forget what is too old, and topics that have neither readers nor history."""
        for topic in self.retention.tick(now):
            if topic.touched or not topic.log.empty:
                continue
            if self._interests(topic):
                self.retention.still_read(topic, now)
            else:
                self._free(topic)

    # The steps of a flush.

    def _seal(self, now: float, time_us: int) -> list[tuple[Topic, list[Section]]]:
        if not self._touched:
            return []
        self.stamp += 1
        self._changes = 0
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
            self._keep(topic, sections, now)
            audience = self._audiences.of(self._interests(topic))
            if audience.behind and topic.told != self._falls:
                self._mark_cursors(topic, sections[0].first, audience)
            if audience.live:
                mine = joined.get(audience)
                if mine is None:
                    mine = joined[audience] = _Joined([], [])
                mine.sections += sections
                mine.began.append((topic.log, sections[0].first))
        return [self._group(audience, mine, idle) for audience, mine in joined.items()]

    def _keep(self, topic: Topic, sections: list[Section], now: float) -> None:
        before = topic.log.bytes
        for section in sections:
            topic.log.append(section)
        self.retention.grew(topic, before, now)
        self._by_stamp.pop(topic, None)
        self._by_stamp[topic] = None
        self.stats.sections += len(sections)

    def _group(self, audience: Audience, mine: _Joined, idle: bool) -> Group:
        worth = audience.inflating >= (1 if idle else SHARED_BY)
        frames = [join_sections(LIVE, [section.data for section in part]) for part in _parts(mine.sections)]
        messages = sum([section.end - section.first for section in mine.sections])
        self.stats.deliveries += messages * len(audience.live)
        return Group(audience, share(frames, self._deflater if worth else None), mine.began)

    def _mark_cursors(self, topic: Topic, first: int, audience: Audience) -> None:
        """Give a cursor to who is behind and has none in this topic: here is the first that it misses."""
        for peer in audience.behind:
            if peer.cursors is not None:
                peer.cursors.setdefault(topic.log, first)
        topic.told = self._falls

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
        for peer in late:
            self.stats.fell_behind += 1
            self.catch_up.behind[peer] = None
            self._regroup(peer)
        if late:
            self._falls += 1

    # Small change.

    def _regroup(self, peer: Peer) -> None:
        """The peer is behind, or level again: no audience with it is right any more."""
        for interest in peer.subscriptions.values():
            self._audiences.changed(interest)

    def _interests(self, topic: Topic) -> tuple[Interest, ...]:
        if topic.matched != self.index.generation:
            topic.interests, topic.matched = self.index.match(topic.name), self.index.generation
        return topic.interests

    def _stray(self, peer: Peer, interest: Interest) -> None:
        """Remember what a peer that is behind read until now: of that it is owed what follows without a break."""
        strayed = (peer.strayed or [])[-_STRAYED:]
        peer.strayed = [*strayed, (interest.pattern, interest.peers[peer], self._moment())]

    def _reads_since(self, peer: Peer, log: TopicLog) -> int | None:
        """The stamp from which on the peer has read a topic without a break, or None where it does not read it."""
        topic = log.topic
        if topic not in self.topics or self.topics[topic].log is not log:
            return None  # freed while nobody read it
        since = min((i.peers[peer] for i in self.index.match(topic) if peer in i.peers), default=None)
        if since is not None:
            # The last that ended comes first; each may reach further back.
            for pattern, joined, left in reversed(peer.strayed or ()):
                if left > since > joined and matcher(pattern).fullmatch(topic):
                    since = joined
        return None if since is None else since >> _CHANGE_BITS

    def _moment(self) -> int:
        """Now, as a number that orders the subscriptions of one stamp too."""
        self._changes += 1
        return self.stamp << _CHANGE_BITS | self._changes

    def _forsake(self, peer: Peer, interest: Interest) -> None:
        del interest.peers[peer]
        self._audiences.changed(interest)
        if interest.peers:
            return
        self.index.discard(interest)
        topic = self.topics.get(interest.pattern)
        if topic is not None:
            topic.matched = -1

    def _free(self, topic: Topic) -> None:
        """Forget a topic. New ones start where it ended, so that no offset of its name is ever given twice."""
        if self.topics.get(topic.name) is not topic:
            return
        self.floor = max(self.floor, topic.end)
        self.freed_stamp = max(self.freed_stamp, topic.stamp)
        del self.topics[topic.name]
        self._by_stamp.pop(topic, None)


@dataclass(slots=True)
class Moved:
    """(topic, from, to) of topics that moved, whether there may be more, and how many were looked at."""

    topics: list[tuple[str, int, int]]
    more: bool
    looks: int


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
        if part and size + len(section.data) > DELIVERY_BYTES:
            yield part
            part, size = [], 0
        part.append(section)
        size += len(section.data)
    if part:
        yield part
