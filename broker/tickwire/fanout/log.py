"""The bounded log of one topic, readable from any offset. There is no queue per reader: this is it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from .section import Section, cut

# What a section costs beside its bytes: the object, its integers, two list slots (sys.getsizeof, rounded up).
SECTION_OVERHEAD = 256


@dataclass(slots=True)
class Reading:
    """What a cursor gets: the gap [cursor, gap_end) where the log keeps no more of it, sections, and its new place."""

    gap_end: int | None
    sections: list[Section]
    next: int


class TopicLog:
    """Sections in order of their offsets, the oldest dropped first. Whole sections only."""

    __slots__ = ("_head", "_sections", "bytes", "end", "limit", "seconds", "topic")

    def __init__(self, topic: str, first: int, limit: int, seconds: float) -> None:
        self.topic = topic
        self.end = first  # the next offset
        self.bytes = 0
        self.limit, self.seconds = limit, seconds
        self._sections: list[Section] = []
        self._head = 0  # sections before it are dropped; the list is compacted when they are half of it

    @property
    def start(self) -> int:
        """The oldest offset that can still be read."""
        return self._sections[self._head].first if self._head < len(self._sections) else self.end

    @property
    def oldest_at(self) -> float:
        """When the oldest section that is kept was flushed. Only for a log that is not empty."""
        return self._sections[self._head].at

    @property
    def empty(self) -> bool:
        return self._head == len(self._sections)

    def append(self, section: Section) -> None:
        """Keep a section, whose first offset is the log's end. The newest is kept whatever its size."""
        self._sections.append(section)
        self.end = section.end
        self.bytes += len(section.data) + SECTION_OVERHEAD
        while self.bytes > self.limit and self._head < len(self._sections) - 1:
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
        at = max(cursor, start)
        if at >= self.end:
            return Reading(gap_end, [], at)
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
        return Reading(gap_end, sections, sections[-1].end)

    def first_after(self, stamp: int) -> int:
        """The first offset flushed after a stamp, as far as the log still knows; its end when there is none."""
        index = bisect_right(self._sections, stamp, lo=self._head, key=_stamp)
        return self._sections[index].first if index < len(self._sections) else self.end

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


_DROPPED = Section(-1, -1, -1, 0.0, b"")
