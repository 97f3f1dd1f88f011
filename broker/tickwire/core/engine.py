"""The engine: the flush that turns what was published into what is written, once the store has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from tickwire import __version__
from tickwire.fanout.catchup import CatchUp
from tickwire.fanout.deliver import Outcome, deliver
from tickwire.fanout.frame import Deflater
from tickwire.fanout.peer import Peer
from tickwire.fanout.peer import Trail as AnyTrail
from tickwire.fanout.section import Section
from tickwire.fanout.shelves import Shelves
from tickwire.wire.encode import encode
from tickwire.wire.errors import Refused
from tickwire.wire.limits import MSGPACK
from tickwire.wire.messages import Ack, End, Join, Refusal, Subscribe

from .aftermath import Aftermath
from .commits import Commit, Pending, Receipt
from .errors import NoSpace, StoreDown
from .groups import Groups
from .identity import Identities, Publisher, Repeat
from .joining import Joiner
from .limits import Limits
from .readership import Readership
from .reads import Read, ReadPlace, ReadSections
from .stats import Stats
from .store import Batch, Dropped, Store, StoreFull
from .topic import Topic
from .topics import Topics
from .trails import Trail

RUN_BYTES = 64  # what a run costs beside its payloads, so that many empty ones are not free


class Superseded(Protocol):
    """A session that can be told that another one has taken its place."""

    superseded: bool


class Engine:
    """Takes payloads, subscriptions and time; a flush writes to peers what they are due. Knows no socket and no clock.

    `due` says that something waits for a flush. With a durable store, a flush hands over a batch (`take_commit`), and
    only what came back (`committed`) is shown and acknowledged by the next one. Times are seconds of a steady clock;
    `time_us` is the wall clock.
    """

    def __init__(
        self, limits: Limits, store: Store, deflater: Deflater | None = None, server: str = f"tickwire/{__version__}"
    ) -> None:
        self.limits, self.store, self.server = limits, store, server
        life = store.open()
        self.epoch, self.stamp = life.epoch, life.stamp  # the stamp is that of the last flush that was shown
        self.stats = Stats()
        self.due = False
        self.refuses: Refused | None = None  # why nothing can be stored now
        self.topics = Topics(limits, life, store.durable)
        self.readership = Readership(self.topics, life.stamp)
        self.shelves = Shelves()
        self.catch_up = CatchUp(deflater, self.shelves, self.readership.reads_since, self._arrived)
        self.groups = Groups(self.topics, self.shelves, self._publish_own, life.groups, limits.groups, self.stats)
        self.identities = Identities(limits.identity_seconds, limits.identity_frames)
        self.sessions: dict[Publisher, Superseded] = {}  # the newest connection of each publisher that is here
        self.identities.restore(life.identities, life.time_us)
        self._joiner = Joiner(deflater, self.stats)
        self._aftermath = Aftermath(self.identities, self.stats, self.reply, self.acknowledge)
        self._pending = Pending()
        self._under_way: Commit | None = None
        self._stored: list[Commit] = []  # and not shown yet
        self._owed = Batch(0, 0)  # what a batch that failed would have stored beside its sections
        self._own_later: list[tuple[str, list[bytes]]] = []
        self._replying: dict[Peer, None] = {}
        self._sealed_stamp, self._time_us, self._now = life.stamp, life.time_us, 0.0

    # What sessions ask for.

    def reply(self, peer: Peer, frame: bytes) -> None:
        """Owe a peer a frame; it leaves at the next flush."""
        peer.reply(frame)
        self._replying[peer] = None
        self.due = True

    def append(self, peer: Peer, topic: Topic, payloads: list[bytes], size: int, format: int) -> int:
        """Put payloads into the topic's pending run; returns the first offset."""
        pending = self._pending
        if not topic.touched:
            self._touch(topic)
        cost = size + RUN_BYTES
        pending.bytes += cost
        if not peer.pending:
            pending.publishers.append(peer)
        peer.pending += cost
        return topic.append(payloads, size, format)

    def acknowledge(self, peer: Peer, receipt: Receipt, repeat: Repeat | None = None) -> None:
        """Answer a publish, `[id, first offset of each run]`, once what it published is kept, now or the first time."""
        receipts = self._pending.receipts.get(peer)
        if receipts is None:
            self._pending.receipts[peer] = [receipt]
        else:
            receipts.append(receipt)
        if repeat is not None:
            self._pending.repeats[peer, receipt[0]] = repeat
        self._wants_flush()

    def follow(self, peer: Peer, trail: Trail) -> None:
        """Let a subscription catch up, on a stream of its own."""
        trail.stream = peer.next_stream()
        peer.trails = (*peer.trails, trail)
        self.catch_up.trailing[peer] = None
        self.due = True

    def leave(self, peer: Peer) -> None:
        """The peer's connection is gone."""
        peer.cursors = None
        peer.trails = ()
        self.readership.leave(peer)
        self.groups.leave_all(peer)
        self._replying.pop(peer, None)
        self._pending.receipts.pop(peer, None)
        for commit in (*self._stored, *([self._under_way] if self._under_way else [])):
            commit.receipts.pop(peer, None)
        self.catch_up.behind.pop(peer, None)
        self.catch_up.trailing.pop(peer, None)

    @property
    def committing(self) -> bool:
        """Whether a batch is with the store, so that nothing is sealed before it comes back."""
        return self._under_way is not None

    @property
    def pending_bytes(self) -> int:
        """Published bytes that are not shown yet."""
        under_way = self._under_way.bytes if self._under_way else 0
        return self._pending.bytes + under_way

    # What the server's timers ask for.

    def flush(self, now: float, time_us: int, idle: bool = False, seals: bool = True) -> None:
        """Seal what is pending; show and acknowledge what is kept; write to each peer what it is due.

        Where it does not seal, what is pending is left for the next flush.
        """
        unsealed = self._under_way is None and self._is_unsealed
        self.due = unsealed and not seals
        self._now = now
        self.stats.flushes += 1
        if unsealed and seals:
            self._hand_over(self._seal(now, time_us))
        stored, self._stored = self._stored, []
        self._show(stored, now)
        self._acknowledge(stored)
        replying, self._replying = self._replying, {}
        self._settle(deliver(self._joiner.take(idle), replying, self.limits.unsent_bytes))
        self.sweep(idle)

    def sweep(self, idle: bool = False, now: float | None = None) -> bool:
        """Bring forward who is not at the tip, as far as sockets have drained. Returns whether anything was written."""
        self._now = self._now if now is None else now
        wrote = False
        if self.catch_up.behind or self.catch_up.trailing:
            for peer in self.catch_up.sweep(self.stamp, idle):
                self.stats.came_level += 1
                self.readership.regroup(peer)
            wrote = self.catch_up.wrote
        return self.groups.deal(self._now, self._writable) or wrote

    def tick(self, now: float) -> None:
        """Once a second: forget what is too old, and topics that have neither readers nor history."""
        self._now = now
        self.topics.tick(now, self._is_read)
        self.identities.tick(now)
        self.groups.tick(now)
        self.due = self.due or self._is_unsealed

    @property
    def restless(self) -> bool:
        """Whether a sweep may have something to do though nothing was published."""
        return bool(self.catch_up.behind or self.catch_up.trailing or self.groups.waiting)

    # What the server's threads ask for, where the store is durable.

    def take_commit(self) -> Batch | None:
        """The batch to store now, once."""
        commit = self._under_way
        if commit is None or commit.handed:
            return None
        commit.handed = True
        return commit.batch

    def committed(self, error: Exception | None = None) -> None:
        """The batch is stored, or not: StoreFull says certainly not, any other error that nobody knows."""
        commit, self._under_way = self._under_way, None
        assert commit is not None
        self.due = True
        if error is None:
            self.stats.commits += 1
            self._stored.append(commit)
        else:
            self._failed(commit, error)

    def has_room(self) -> None:
        """The store that was full takes more."""
        self.refuses = None
        own, self._own_later = self._own_later, []
        for topic, payloads in own:
            with contextlib.suppress(Refused):  # its topic was freed meanwhile, and there is room for no other
                self._publish_own(topic, payloads)
        self.due = True

    def retained(self, dropped: Iterable[Dropped]) -> None:
        """The store has dropped some of its oldest."""
        self.topics.dropped(dropped, self._now)

    def take_reads(self) -> list[Read]:
        """What to ask the store for now."""
        reads: list[Read] = [ReadSections(log, cursor) for log, cursor in self.shelves.take_wanted()]
        for peer in self.catch_up.trailing:
            for trail in peer.trails:
                if isinstance(trail, Trail) and trail.seeks:
                    reads += [ReadPlace(trail, seek) for seek in trail.seeks]
                    trail.seeks = []
        return reads

    def read_done(self, read: Read) -> None:
        """The store has answered; a sweep goes on from here."""
        if isinstance(read, ReadSections):
            self.shelves.put(read.log, read.cursor, read.result())
        else:
            read.settle()

    # The steps of a flush.

    def _touch(self, topic: Topic) -> None:
        """The topic has something to be sealed."""
        topic.touched = True
        self._pending.touched.append(topic)
        self._wants_flush()

    def _wants_flush(self) -> None:
        """What is pending is sealed by the next flush; but while a commit is under way, by the one that comes after it.

        A flush before that would find nothing to do: with sixteen publishers of single messages every second did.
        """
        if self._under_way is None:
            self.due = True

    @property
    def _is_unsealed(self) -> bool:
        return bool(self._pending or self._owed or self.topics.has_freed or self.groups.unsaved)

    def _seal(self, now: float, time_us: int) -> Commit:
        pending, self._pending = self._pending, Pending()
        batch = self._batch()
        if pending.touched:
            self._sealed_stamp += 1
            self._time_us = max(time_us, self._time_us)
        batch.stamp, batch.time_us = self._sealed_stamp, self._time_us
        sealed: list[tuple[Topic, list[Section]]] = []
        for topic in pending.touched:
            self.stats.messages_in += topic.end - topic.sealed
            self.stats.payload_bytes_in += topic.pending_bytes
            sections = topic.seal(batch.stamp, batch.time_us, now)
            sealed.append((topic, sections))
            if topic.durable or not self.store.durable:
                batch.sections += [(topic.name, section) for section in sections]
        for peer in pending.publishers:
            peer.pending = 0
        new, batch.identities = self.identities.take_new()
        answers = pending.receipts, pending.repeats
        return Commit(batch, sealed, *answers, pending.publishers, pending.own, new, pending.bytes)

    def _batch(self) -> Batch:
        """What is to be stored beside sections."""
        batch, self._owed = self._owed, Batch(0, 0)
        if self.store.durable:
            batch.freed = list(dict.fromkeys((*batch.freed, *self.topics.take_freed())))
            batch.floor, batch.freed_stamp = self.topics.floor, self.topics.freed_stamp
            batch.volatile_floor = self.topics.volatile_floor
            groups, cursors = self.groups.changes()
            batch.groups += groups
            batch.cursors += cursors
        return batch

    def _hand_over(self, commit: Commit) -> None:
        if self.store.durable and commit.batch:
            if self.refuses is None:
                self._under_way = commit
                return
            self._owed = commit.batch  # no section is in it: those were refused
        elif not self.store.durable:
            self.store.commit(commit.batch)
        self._stored.append(commit)

    def _show(self, stored: list[Commit], now: float) -> None:
        """Put sections into their logs: from here on they are there for everybody."""
        for commit in stored:
            if commit.sealed:
                self.stamp = commit.batch.stamp
                self.readership.stamped(self.stamp)
            for topic, sections in commit.sealed:
                self.topics.keep(topic, sections, now)
                self._joiner.add(topic, sections, self.readership.audience(topic, sections[0].first))
                if self.groups:
                    self.groups.moved(topic)

    def _acknowledge(self, stored: list[Commit]) -> None:
        for commit in stored:
            for peer, receipts in commit.receipts.items():
                self.stats.acks += len(receipts)
                peer.reply(encode(Ack(receipts)))
                self._replying[peer] = None

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

    # What goes wrong.

    def _failed(self, commit: Commit, error: Exception) -> None:
        """Nothing of the commit is shown, nor of what came after it: its offsets stood on it."""
        full = isinstance(error, StoreFull)
        self.refuses = NoSpace() if full else StoreDown()
        pending, self._pending = self._pending, Pending()
        for topic in dict.fromkeys((*(topic for topic, _ in commit.sealed), *pending.touched)):
            topic.take_back()
        self._aftermath.settle(commit, pending, self.refuses, unsure=not full)
        for peer in pending.publishers:
            peer.pending = 0
        self._own_later += commit.own + pending.own
        self._owed = replace(commit.batch, sections=[], identities=[])

    # What the rooms below ask for.

    def _arrived(self, peer: Peer, arrived: AnyTrail) -> bytes:
        """A trail is at the present: the subscription is live from here on, or it is over."""
        assert isinstance(arrived, Trail)
        peer.trails = tuple(trail for trail in peer.trails if trail is not arrived)
        if arrived.once:
            return encode(End(arrived.id))
        try:
            self.readership.subscribe(peer, arrived.id, arrived.pattern, self._now)
        except Refused as refused:  # its topic was freed meanwhile, and there is room for no other
            return encode(Refusal(Subscribe.kind, arrived.id, refused.code, refused.text))
        return encode(Join(arrived.id, self.stamp))

    def _publish_own(self, name: str, payloads: list[bytes]) -> None:
        """A message of the broker's own, to a topic that clients only read: a dead letter."""
        if self.refuses is not None:
            self._own_later.append((name, payloads))
            return
        topic = self.topics.of(name, self._now)
        self._pending.own.append((name, payloads))
        if not topic.touched:
            self._touch(topic)
        topic.append(list(payloads), sum(map(len, payloads)), MSGPACK)

    def _is_read(self, topic: Topic) -> bool:
        """Whether somebody reads a topic, or is on the way to do so."""
        if self.readership.interests(topic):
            return True
        trails = (trail for peer in self.catch_up.trailing for trail in peer.trails)
        return any(isinstance(trail, Trail) and trail.reads(topic) for trail in trails)

    def _writable(self, peer: Peer) -> bool:
        return not peer.behind and peer.unsent() <= self.limits.unsent_bytes // 2
