"""What is known of a store in memory: where each topic stands, and what the next mark will write down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tickwire.core.store import StoredTopic

from .rows import seed_of

# How far the numbers reach that a life may use without a commit: stamps of flushes that were not for the disk, and
# offsets of topics that are not on it. A life claims as many more when it opens and every five minutes; the wire's
# integers end at 2^53, which is two million claims: twenty years of a broker that starts every five minutes.
CLAIM = 1 << 32
CLAIM_EVERY_US = 300_000_000


_MARK_COMMITS = 1_024  # that the next start has to go through: a few milliseconds
_MARK_TOPICS = 4_096
_MARK_IDENTITIES = 16_384


@dataclass(slots=True)
class Meta:
    """The one row of `meta`. `mark` is the last commit that the tables beside `commits` know of."""

    epoch: int
    mark: int = 0
    stamp: int = 0
    time_us: int = 0
    floor: int = 0
    freed_stamp: int = 0
    volatile_floor: int = 0  # below it offsets are claimed
    claimed_stamp: int = 0
    next_topic: int = 1  # the id of the next new topic: none is given twice

    def body(self) -> list[int]:
        return [
            self.epoch, self.mark, self.stamp, self.time_us, self.floor, self.freed_stamp, self.volatile_floor,
            self.claimed_stamp, self.next_topic,
        ]  # fmt: skip

    def claim(self) -> None:
        self.volatile_floor += CLAIM
        self.claimed_stamp = max(self.claimed_stamp, self.stamp) + CLAIM


class KeptTopic:
    """A topic on disk. `came` and `went` count bytes of sections over its whole life: kept are those between."""

    __slots__ = ("came", "dropped_stamp", "end", "id", "name", "seed", "since_us", "stamp", "start", "stuck", "went")

    def __init__(self, id: int, name: str, start: int) -> None:
        self.id, self.name, self.seed = id, name, seed_of(name)
        self.start = self.end = start
        self.stamp = self.dropped_stamp = 0
        self.came = self.went = 0
        self.since_us = 0  # when the oldest section was flushed
        self.stuck = False  # its oldest cannot be read, so that retention leaves it alone

    @classmethod
    def of(cls, id: int, body: list[Any]) -> KeptTopic:
        name, start, end, stamp, dropped_stamp, came, went, since_us = body
        topic = cls(id, name, start)
        topic.end, topic.stamp, topic.dropped_stamp = end, stamp, dropped_stamp
        topic.came, topic.went, topic.since_us = came, went, since_us
        return topic

    def body(self) -> list[Any]:
        return [
            self.name, self.start, self.end, self.stamp, self.dropped_stamp, self.came, self.went, self.since_us,
        ]  # fmt: skip

    def grow(self, end: int, came: int, stamp: int, time_us: int) -> None:
        """A commit brought it to here. One that is known already changes nothing."""
        if end <= self.end:
            return
        if self.start == self.end:
            self.since_us = time_us
        self.end, self.came, self.stamp = end, came, stamp

    def stored(self) -> StoredTopic:
        return StoredTopic(self.name, self.start, self.end, self.stamp, self.dropped_stamp)


@dataclass(slots=True)
class Clock:
    """Microseconds of this life, told from a clock that may be set forward and back: steps count for ten seconds."""

    us: int = 0
    _last: int | None = None

    def turn(self, time_us: int) -> None:
        last, self._last = self._last, time_us
        if last is not None:
            self.us += min(max(time_us - last, 0), 10_000_000)


@dataclass(slots=True)
class State:
    """All of it. The writer changes it after its commits; a reader takes single numbers from it."""

    meta: Meta
    topics: dict[str, KeptTopic] = field(default_factory=dict)
    serial: int = 0  # of the last commit
    unmarked: dict[KeptTopic, None] = field(default_factory=dict)  # changed since the mark
    recent: list[list[Any]] = field(default_factory=list)  # [time_us, identities] of the commits since the mark
    recent_count: int = 0
    windows: deque[tuple[int, int]] = field(default_factory=deque)  # (serial, when made) of rows of identities
    clock: Clock = field(default_factory=Clock)
    grown: dict[KeptTopic, None] = field(default_factory=dict)  # since retention last looked at them

    def remember(self, time_us: int, identities: list[Any]) -> None:
        if identities:
            self.recent.append([time_us, identities])
            self.recent_count += len(identities)

    def reached(self, stamp: int, time_us: int, floors: Sequence[int]) -> None:
        """A commit was made with these. None of them ever goes back."""
        meta = self.meta
        meta.stamp, meta.time_us = max(meta.stamp, stamp), max(meta.time_us, time_us)
        floor, freed_stamp, volatile_floor = floors
        meta.floor, meta.freed_stamp = max(meta.floor, floor), max(meta.freed_stamp, freed_stamp)
        meta.volatile_floor = max(meta.volatile_floor, volatile_floor)

    @property
    def wants_mark(self) -> bool:
        """Whether the next start would have much to go through."""
        return (
            self.serial - self.meta.mark >= _MARK_COMMITS
            or len(self.unmarked) >= _MARK_TOPICS
            or self.recent_count >= _MARK_IDENTITIES
        )

    def marked(self) -> None:
        """The tables know of all commits so far."""
        if self.recent:
            self.windows.append((self.serial, self.clock.us))
        self.meta.mark = self.serial
        self.recent, self.recent_count = [], 0
        self.unmarked.clear()

    def forget(self, topic: KeptTopic) -> None:
        del self.topics[topic.name]
        self.unmarked.pop(topic, None)
        self.grown.pop(topic, None)
