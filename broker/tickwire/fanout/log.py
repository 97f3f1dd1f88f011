"""The bounded log of one topic, readable from any offset. There is no queue per reader: this is it."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from tickwire.wire.codes import EVICTED, FREED

from .section import Section, cut

# What a section costs beside its bytes: the object, its integers, two list slots (sys.getsizeof, rounded up).
SECTION_OVERHEAD = 256


@dataclass(slots=True)
class Reading:
    """What a cursor gets: the gap [cursor, gap_end) where that is not kept, sections, and its new place."""

    gap_end: int | None
    sections: list[Section]
    next: int
    reason: str = EVICTED  # of the gap


class TopicLog:
    """Sections in order of their offsets, the oldest dropped first. Whole sections only."""

    __slots__ = (
        "_counts", "_head", "_sections", "bytes", "dropped_stamp", "end", "first", "limit", "messages", "seconds",
        "stored_from", "topic",
    )  # fmt: skip

    def __init__(
        self, topic: str, first: int, limit: int, seconds: float, messages: int = sys.maxsize, durable: bool = False
    ) -> None:
        self.topic = topic
        # Offsets below it were another log's, which was forgotten, or nobody's. Of a topic on disk the store knows.
        self.first = 0 if durable else first
        self.end = first  # the next offset
        self.bytes = 0
        self.messages, self._counts = messages, messages < sys.maxsize
        # The oldest offset that the store has, of a topic on disk: what is here is then only the newest part.
        self.stored_from = first if durable else None
        self.dropped_stamp = 0  # the newest stamp of what nobody can read any more
        self.limit, self.seconds = limit, seconds
        self._sections: list[Section] = []
        self._head = 0  # sections before it are dropped; the list is compacted when they are half of it

    @property
    def start(self) -> int:
        """The oldest offset that can still be read."""
        return self._sections[self._head].first if self._head < len(self._sections) else self.end

    @property
    def oldest(self) -> int:
        """The oldest offset that can still be read, here or from the store."""
        return self.start if self.stored_from is None else min(self.stored_from, self.start)

    @property
    def oldest_at(self) -> float:
        """When the oldest section that is kept was flushed. Only for a log that is not empty."""
        return self._sections[self._head].at

    @property
    def empty(self) -> bool:
        return self._head == len(self._sections)

    def extend(self, sections: list[Section]) -> None:
        """Keep sections, at least one, that follow each other from the log's end on. The newest is kept at any size."""
        kept = self._sections
        for section in sections:
            kept.append(section)
            self.bytes += len(section.data) + SECTION_OVERHEAD
        self.end = section.end
        # Where it does not matter, what was flushed long ago is not looked at: it is in no cache any more.
        if self.bytes > self.limit or (self._counts and self.end - kept[self._head].end >= self.messages):
            self._drop_what_is_over()

    def _drop_what_is_over(self) -> None:
        while self._head < len(self._sections) - 1 and (
            self.bytes > self.limit or self.end - self._sections[self._head].end >= self.messages
        ):
            self.drop_oldest()

    def expire(self, now: float) -> None:
        """Drop what is older than the log's seconds."""
        oldest = now - self.seconds
        while self._head < len(self._sections) and self._sections[self._head].at < oldest:
            self.drop_oldest()

    def drop_oldest(self) -> int:
        """Drop the oldest section and return the bytes that gave back."""
        section = self._sections[self._head]
        self._head += 1
        if self.stored_from is None:
            self.dropped_stamp = section.stamp
        freed = len(section.data) + SECTION_OVERHEAD
        self.bytes -= freed
        if self._head * 2 >= len(self._sections):
            del self._sections[: self._head]
            self._head = 0
        else:
            self._sections[self._head - 1] = _DROPPED
        return freed

    def read(self, cursor: int, budget: int) -> Reading:
        """What stands from the cursor on: a section where there is one, and more up to `budget` bytes."""
        start = self.start
        gap_end = start if cursor < start else None
        reason = self.reason_below(cursor)
        at = max(cursor, start)
        if at >= self.end:
            return Reading(gap_end, [], at, reason)
        index = self._index(at)
        first = self._sections[index]
        sections = [first if first.first == at else cut(first, at)]
        size = len(sections[0].data)
        for following in range(index + 1, len(self._sections)):
            section = self._sections[following]
            size += len(section.data)
            if size > budget:
                break
            sections.append(section)
        return Reading(gap_end, sections, sections[-1].end, reason)

    def reason_below(self, cursor: int) -> str:
        """Why an offset below the oldest is not here."""
        return FREED if cursor < self.first else EVICTED

    def section_at(self, offset: int) -> Section:
        """The whole section of an offset that is here."""
        return self._sections[self._index(offset)]

    def first_after(self, stamp: int) -> int:
        """The first offset flushed after a stamp, as far as the log still knows; its end when there is none."""
        index = bisect_right(self._sections, stamp, lo=self._head, key=_stamp)
        return self._sections[index].first if index < len(self._sections) else self.end

    def first_since(self, time_us: int) -> int:
        """The first offset accepted at that time or later, as far as the log knows; its end when there is none."""
        index = bisect_left(self._sections, time_us, lo=self._head, key=_time)
        return self._sections[index].first if index < len(self._sections) else self.end

    def began_before(self, time_us: int) -> bool:
        """Whether what is here reaches further back than that time."""
        return self._head < len(self._sections) and self._sections[self._head].time_us < time_us

    def knows(self, stamp: int) -> bool:
        """Whether everything flushed after the stamp is still here."""
        return self._head < len(self._sections) and self._sections[self._head].stamp <= stamp

    def _index(self, offset: int) -> int:
        """The section that holds an offset that is kept."""
        return max(self._head, bisect_right(self._sections, offset, lo=self._head, key=_first) - 1)


def _first(section: Section) -> int:
    return section.first


def _stamp(section: Section) -> int:
    return section.stamp


def _time(section: Section) -> int:
    return section.time_us


_DROPPED = Section(-1, -1, -1, -1, 0.0, b"")
