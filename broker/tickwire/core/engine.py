"""The engine: the flush that turns what was published into what is written, once the store has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol
from weakref import WeakValueDictionary

from tickwire import __version__
from tickwire.fanout.catchup import CatchUp
from tickwire.fanout.deliver import Outcome, deliver
from tickwire.fanout.frame import Deflater
from tickwire.fanout.peer import Peer
from tickwire.fanout.peer import Trail as AnyTrail
from tickwire.fanout.shelves import Shelves
from tickwire.wire.encode import encode, encode_ack
from tickwire.wire.errors import Refused
from tickwire.wire.messages import End, Join, Refusal, Subscribe

from .commits import Commit
from .groups import Groups
from .holdings import Holding
from .identity import Publisher
from .joining import Joiner
from .limits import Limits
from .pipeline import Pipeline
from .rates import Meter, Tab
from .readership import Readership
from .reads import Read, ReadPlace, ReadSections
from .rights import Identity
from .store import Dropped, Store
from .topic import Topic
from .trails import Trail


class Superseded(Protocol):
    """A session that can be told that another one has taken its place."""

    superseded: bool


class Engine(Pipeline):
    """Takes payloads, subscriptions and time; a flush writes to peers what they are due. Knows no socket and no clock.

    `due` says that something waits for a flush. With a durable store, a flush hands over a batch (`take_commit`), and
    only what came back (`committed`) is shown and acknowledged by the next one. Times are seconds of a steady clock;
    `time_us` is the wall clock.
    """

    def __init__(
        self, limits: Limits, store: Store, deflater: Deflater | None = None, server: str = f"tickwire/{__version__}"
    ) -> None:
        life = store.open()
        super().__init__(limits, store, life)
        self.server = server
        self.stamp = life.stamp  # of the last flush that was shown
        self.readership = Readership(self.topics, self.stamp)
        self.shelves = Shelves()
        self.catch_up = CatchUp(deflater, self.shelves, self.readership.reads_since, self._arrived)
        self.groups = Groups(self.topics, self.shelves, self._publish_own, life.groups, limits.groups, self.stats)
        self.short: Refused | None = None  # why no publish is taken, where there is no memory for it
        self.on_refusal: Callable[[Any, Refused], None] | None = None  # told of the session and what it was refused
        self.sessions: dict[Publisher, Superseded] = {}  # the newest connection of each publisher that is here
        self._meters: WeakValueDictionary[str, Meter] = WeakValueDictionary()  # of subjects that are here
        self._owing: dict[Meter, None] = {}  # of subjects that went before they had paid
        self._holdings: WeakValueDictionary[str, Holding] = WeakValueDictionary()  # of those that have something
        self._joiner = Joiner(deflater, self.stats)

    # What sessions ask for.

    def follow(self, peer: Peer, trail: Trail) -> None:
        """Let a subscription catch up, on a stream of its own."""
        trail.stream = peer.next_stream()
        peer.trails = (*peer.trails, trail)
        self.catch_up.trailing[peer] = None
        self.due = True

    def holding_of(self, identity: Identity) -> Holding | None:
        """What the subject of an identity holds; None where that is not counted."""
        allowance, subject = self.limits.allowance, identity.subject
        if subject is None or not allowance:
            return None
        holding = self._holdings.get(subject)
        if holding is None:
            holding = self._holdings[subject] = Holding(subject, allowance)
        return holding

    def tab_of(self, identity: Identity, now: float, before: int = 0, more: int = 0) -> Tab | None:
        """What counts what a connection of somebody asks for, who has subscribed `before` and will `more` times.

        None where nothing is counted, or not yet: of subscriptions the first of a connection are within the burst.
        """
        limits = self.limits
        own, shared = limits.rates, limits.subject_rates
        of_subject = identity.subject is not None and (shared.of_frames or shared.subscriptions > 0)
        over = own.subscriptions > 0 and before + more > own.subscriptions * own.burst
        if not (own.of_frames or over or of_subject):
            return None
        meters = [Meter(own)]
        meters[0].spend(now, 0, 0, 0, before)
        if of_subject:
            assert identity.subject is not None
            meter = self._meters.get(identity.subject)
            if meter is None:
                meter = self._meters[identity.subject] = Meter(shared)
            meters.append(meter)
        tab = Tab(tuple(meters))
        tab.draw(now)
        return tab

    def remember(self, tab: Tab) -> None:
        """Its connection is gone. What it owes as a subject it owes when it comes back."""
        self._owing.update(dict.fromkeys(tab.owed(self._now)))

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
        peer.leave()

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
        self._show(stored)
        self._acknowledge(stored)
        replying, self._replying = self._replying, {}
        outcome = deliver(self._joiner.take(idle), replying, self.limits.unsent_bytes)
        self._keep(stored, now)  # after the writing: who waits for an acknowledgment has it 2 % sooner
        self._settle(outcome)
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
        self._owing = {meter: None for meter in self._owing if meter.full_at > now}
        self.due = self.due or self._is_unsealed

    @property
    def restless(self) -> bool:
        """Whether a sweep may have something to do though nothing was published."""
        return bool(self.catch_up.behind or self.catch_up.trailing or self.groups.waiting)

    # What the server's threads ask for, where the store is durable.

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

    def _show(self, stored: list[Commit]) -> None:
        """Give sections to all who read their topics and keep up."""
        for commit in stored:
            if commit.sealed:
                self.stamp = commit.batch.stamp
                self.readership.stamped(self.stamp)
            self._joiner.add(commit.sealed, self.readership.audience)

    def _keep(self, stored: list[Commit], now: float) -> None:
        """Put sections into their logs: from here on they are there for whoever asks."""
        for commit in stored:
            if commit.sealed:
                self.topics.keep(commit.sealed, commit.batch.stamp, now)
            if self.groups:
                for topic, _ in commit.sealed:
                    self.groups.moved(topic)

    def _acknowledge(self, stored: list[Commit]) -> None:
        for commit in stored:
            for peer, receipts in commit.receipts.items():
                self.stats.acks += len(receipts)
                peer.reply(encode_ack(receipts))
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

    # What the rooms below ask for.

    def _arrived(self, peer: Peer, arrived: AnyTrail) -> bytes:
        """A trail is at the present: the subscription is live from here on, or it is over."""
        assert isinstance(arrived, Trail)
        peer.trails = tuple(trail for trail in peer.trails if trail is not arrived)
        if arrived.once:
            return encode(End(arrived.id))
        try:
            self.readership.subscribe(peer, arrived.id, arrived.pattern, self._now, arrived.readable)
        except Refused as refused:  # its topic was freed meanwhile, and there is room for no other
            return encode(Refusal(Subscribe.kind, arrived.id, refused.code, refused.text))
        return encode(Join(arrived.id, self.stamp))

    def _is_read(self, topic: Topic) -> bool:
        """Whether somebody reads a topic, or is on the way to do so."""
        if self.readership.interests(topic):
            return True
        trails = (trail for peer in self.catch_up.trailing for trail in peer.trails)
        return any(isinstance(trail, Trail) and trail.reads(topic) for trail in trails)

    def _writable(self, peer: Peer) -> bool:
        return not peer.behind and peer.unsent() <= self.limits.unsent_bytes // 2
