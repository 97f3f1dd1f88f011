"""From what was published to what is stored: pending, then sealed and under way, then stored. Or an error."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from tickwire.fanout.peer import Peer
from tickwire.wire.errors import Refused
from tickwire.wire.limits import MSGPACK

from .aftermath import Aftermath
from .commits import Commit, Pending, Receipt
from .errors import NoSpace, StoreDown
from .groups import Groups
from .identity import Identities, Repeat
from .limits import Limits
from .stats import Stats
from .store import Batch, Life, Store, StoreFull
from .topic import Topic, seal_all
from .topics import Topics

_MESSAGE_BYTES = 48  # what a payload costs that is an object of its own: 33 bytes of its head, rounded up, and a place
_RUN_BYTES = 64  # what a run costs beside its payloads, so that many empty ones are not free


class Pipeline:
    """The way to the store and back. One commit is under way at a time; what comes meanwhile goes into the next."""

    groups: Groups

    def __init__(self, limits: Limits, store: Store, life: Life) -> None:
        self.limits, self.store, self.epoch = limits, store, life.epoch
        self.stats = Stats()
        self.due = False
        self.refuses: Refused | None = None  # why nothing can be stored now
        self.topics = Topics(limits, life, store.durable)
        self.identities = Identities(limits.identity_seconds, limits.identity_frames)
        self.identities.restore(life.identities, life.time_us)
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

    def append(self, peer: Peer, topic: Topic, payloads: Sequence[bytes], size: int, format: int) -> int:
        """Put payloads into the topic's pending run; returns the first offset."""
        if not topic.touched:
            self._touch(topic)
        apart = _MESSAGE_BYTES * len(payloads) if type(payloads) is list else 0
        self._charge(peer, size + apart + _RUN_BYTES)
        return topic.append(payloads, size, format)

    def append_each(self, peer: Peer, topics: list[Topic], runs: list[list[bytes]], sizes: Sequence[int]) -> None:
        """The same of one run for each of many topics, of which nobody asks for the offsets."""
        if not topics:
            return
        for topic, payloads, size in zip(topics, runs, sizes, strict=True):
            if not topic.touched:
                self._touch(topic)
            topic.append(payloads, size, MSGPACK)
        messages = sum(map(len, runs))
        self._charge(peer, sum(sizes) + _RUN_BYTES * len(topics) + _MESSAGE_BYTES * messages)

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

    @property
    def committing(self) -> bool:
        """Whether a batch is with the store, so that nothing is sealed before it comes back."""
        return self._under_way is not None

    @property
    def pending_bytes(self) -> int:
        """Published bytes that are not shown yet."""
        under_way = self._under_way.bytes if self._under_way else 0
        return self._pending.bytes + under_way

    # The steps.

    def _charge(self, peer: Peer, cost: int) -> None:
        """What the peer has pending counts until it is sealed."""
        pending = self._pending
        pending.bytes += cost
        if not peer.pending:
            pending.publishers.append(peer)
        peer.pending += cost

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
        self.stats.messages_in += sum([topic.end - topic.sealed for topic in pending.touched])
        self.stats.payload_bytes_in += sum([topic.pending_bytes for topic in pending.touched])
        sealed = seal_all(pending.touched, batch.stamp, batch.time_us, now)
        volatile = not self.store.durable
        batch.sections = [
            (topic.name, section) for topic, mine in sealed if volatile or topic.durable for section in mine
        ]
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
