"""All topics: made when somebody names them, in the order of their last flush, freed when nobody needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from tickwire.fanout.log import TopicLog

from .errors import TooManyTopics
from .holdings import Holding
from .limits import Limits
from .retention import Retention
from .rights import Grant
from .store import Dropped, Life, StoredTopic
from .topic import Sealed, Topic


class Topics(dict[str, Topic]):
    """By name. `floor` is where new ones start: above all offsets of those that were freed."""

    def __init__(self, limits: Limits, life: Life, durable: bool) -> None:
        super().__init__()
        self.floor, self.volatile_floor = life.floor, life.volatile_floor
        self.freed_stamp = life.freed_stamp  # the newest stamp of any topic that was freed
        self._lost_stamp = life.stamp if durable else 0  # what is not on disk went with the life before
        self.stamp = life.stamp  # of the last flush that was shown
        self.retention = Retention(limits.retain_total_bytes, limits.free_topic_after)
        self.by_stamp: dict[Topic, None] = {}  # those that have had messages, in the order of their last flush
        # What plain frames begin with, see wire/plain.py: of those who may publish everywhere, and under each grant.
        self._heads: dict[bytes, Topic] = {}
        self._granted_heads: WeakKeyDictionary[Grant, dict[bytes, Topic]] = WeakKeyDictionary()
        self._limits = limits
        self._durable = durable
        self._freed: list[str] = []  # of those on disk, since the store was last told
        for stored in sorted(life.topics, key=lambda topic: topic.stamp):
            self._restore(stored)

    def of(self, name: str, now: float, holding: Holding | None = None) -> Topic:
        """The topic of a checked name, made where there is none. Raises TooManyTopics, and HoldsTooMany."""
        topic = self.get(name)
        if topic is None:
            self._check_room(1, holding)
            topic = self[name] = Topic(name, self._new_log(name), self.stamp, holding)
            if holding is not None:
                holding.topics += 1
            self.retention.created(topic, now)
        return topic

    def heads_of(self, grant: Grant | None) -> dict[bytes, Topic]:
        """The topics by what plain frames to them begin with, as far as such have come from who may publish there."""
        if grant is None:
            return self._heads
        heads = self._granted_heads.get(grant)
        if heads is None:
            heads = self._granted_heads[grant] = {}
        return heads

    def claim(self, names: list[str], now: float, holding: Holding | None = None) -> list[Topic]:
        """The topics of checked names, all of them or what `of` raises."""
        self._check_room(len({name for name in names if name not in self}), holding)
        return [self.of(name, now, holding) for name in names]

    def keep(self, sealed: list[Sealed], stamp: int, now: float) -> None:
        """Put the sections of a flush, whose stamp is the newest of all, into the logs of their topics."""
        by_stamp, retention = self.by_stamp, self.retention
        self.stamp, grown = stamp, 0
        for topic, sections in sealed:
            topic.stamp = stamp
            by_stamp.pop(topic, None)
            by_stamp[topic] = None
            log = topic.log
            before = log.bytes
            log.extend(sections)
            after = log.bytes
            grown += after - before
            if not topic.aging or before.bit_length() != after.bit_length():
                retention.grew(topic, before, now)
        retention.charge(grown)

    def tick(self, now: float, is_read: Callable[[Topic], bool]) -> None:
        """Forget what is too old, and topics that have neither readers nor history."""
        for topic in self.retention.tick(now):
            if topic.touched or topic.has_history:
                continue
            if is_read(topic):
                self.retention.still_read(topic, now)
            else:
                self._free(topic)

    def dropped(self, dropped: Iterable[Dropped], now: float) -> None:
        """The store keeps less of these topics."""
        for each in dropped:
            topic = self.get(each.topic)
            if topic is None or topic.log.stored_from is None:
                continue
            topic.log.stored_from = max(topic.log.stored_from, each.start)
            topic.log.dropped_stamp = max(topic.log.dropped_stamp, each.stamp)
            if not topic.has_history:
                self.retention.created(topic, now)

    def may_be_missed(self, pattern: str, seen: int) -> bool:
        """Whether topics that match may have been forgotten with messages after the stamp: freed, or lost."""
        if seen < self.freed_stamp:
            return True
        return seen < self._lost_stamp and self._limits.policies.may_be_volatile(pattern)

    @property
    def has_freed(self) -> bool:
        """Whether `take_freed` has something."""
        return bool(self._freed)

    def take_freed(self) -> list[str]:
        """The topics on disk that were freed since this was last asked. They may have come back meanwhile."""
        freed, self._freed = self._freed, []
        return freed

    def _check_room(self, more: int, holding: Holding | None) -> None:
        if len(self) + more > self._limits.topics:
            raise TooManyTopics(self._limits.topics)
        if holding is not None:
            holding.check_topics(more)

    def _new_log(self, name: str) -> TopicLog:
        limits, policy = self._limits, self._limits.policies.of(name)
        if self._durable and policy.durable:
            return self._newest_of(name, self.floor)
        first = self.volatile_floor if self._durable else self.floor
        size = limits.retain_bytes if policy.bytes is None else policy.bytes
        seconds = limits.retain_seconds if policy.seconds is None else policy.seconds
        messages = limits.retain_messages if policy.messages is None else policy.messages
        return TopicLog(name, first, size, seconds, messages) if messages else TopicLog(name, first, size, seconds)

    def _newest_of(self, name: str, first: int) -> TopicLog:
        """The log of a topic on disk: no more than its policy keeps, and no more than memory is there for."""
        limits, policy = self._limits, self._limits.policies.of(name)
        size = min(limits.retain_bytes, limits.retain_bytes if policy.bytes is None else policy.bytes)
        seconds = min(limits.retain_seconds, limits.retain_seconds if policy.seconds is None else policy.seconds)
        return TopicLog(name, first, size, seconds, policy.messages or sys.maxsize, durable=True)

    def _restore(self, stored: StoredTopic) -> None:
        log = self._newest_of(stored.name, stored.end)
        log.stored_from, log.dropped_stamp = stored.start, stored.dropped_stamp
        topic = self[stored.name] = Topic(stored.name, log, self.freed_stamp)  # whether it came back is not known
        topic.first = 0 if stored.dropped_stamp else stored.start  # no more is known of what is gone
        topic.stamp = stored.stamp
        if stored.stamp:
            self.by_stamp[topic] = None
        if not topic.has_history:
            self.floor = max(self.floor, topic.end)  # it may have been freed, and others told of offsets above it
            self.retention.created(topic, 0.0)

    def _free(self, topic: Topic) -> None:
        """Forget a topic. New ones start where it ended, so that no offset of its name is ever given twice."""
        if self.get(topic.name) is not topic:
            return
        if self._durable and not topic.durable:
            self.volatile_floor = max(self.volatile_floor, topic.end)
        else:
            self.floor = max(self.floor, topic.end)
        if topic.durable:
            self._freed.append(topic.name)
        self.freed_stamp = max(self.freed_stamp, topic.stamp)
        del self[topic.name]
        if topic.holding is not None:
            topic.holding.topics -= 1
        self._heads.clear()
        self._granted_heads = WeakKeyDictionary()
        self.by_stamp.pop(topic, None)
