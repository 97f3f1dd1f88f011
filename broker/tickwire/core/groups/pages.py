"""Messages by their offset, from a log's memory or from what was read of the store."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import NamedTuple

from tickwire.fanout.log import TopicLog
from tickwire.fanout.section import Section
from tickwire.fanout.shelves import Shelves

_KEPT = 32  # readings of the store, of about 128 KiB each: dealing takes many runs from one
_ASKED = 16  # logs that the store is read for at a time: fewer than are kept, so that none is read in vain


class Hole(NamedTuple):
    """Nothing is kept from an offset up to this one."""

    end: int
    reason: str


class _Page(NamedTuple):
    log: TopicLog
    first: int
    end: int
    sections: list[Section]  # none where it is a hole
    reason: str


class Pages:
    """Finds sections without waiting: what is only in the store is asked for, and there at a later try."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._pages: deque[_Page] = deque(maxlen=_KEPT)
        self._asked: dict[TopicLog, int] = {}

    @property
    def waiting(self) -> bool:
        return bool(self._asked)

    def asked(self, log: TopicLog) -> bool:
        """Whether the store was asked for something of it, and has not answered."""
        return log in self._asked

    def find(self, log: TopicLog, offset: int) -> Section | Hole | None:
        """The section of an offset below the log's end, or why there is none; None where it must be waited for."""
        if log.start <= offset < log.end:
            return log.section_at(offset)
        if log.stored_from is None or offset < log.oldest:
            return Hole(log.oldest, log.reason_below(offset))
        for page in self._pages:
            if page.log is log and page.first <= offset < page.end:
                return _on(page, offset)
        if log not in self._asked and len(self._asked) < _ASKED:
            self._asked[log] = offset
            self.turn()
        return None

    def turn(self) -> None:
        """Take what the store has answered."""
        for log, offset in list(self._asked.items()):
            reading = self._shelves.read(log, offset)
            if reading is None:
                continue
            del self._asked[log]
            if reading.gap_end is not None and reading.gap_end > offset:
                self._pages.append(_Page(log, offset, reading.gap_end, [], reading.reason))
            if reading.sections:
                first, end = reading.sections[0].first, reading.sections[-1].end
                self._pages.append(_Page(log, first, end, reading.sections, reading.reason))


def _on(page: _Page, offset: int) -> Section | Hole:
    if not page.sections:
        return Hole(page.end, page.reason)
    return page.sections[bisect_right(page.sections, offset, key=_first) - 1]


def _first(section: Section) -> int:
    return section.first
