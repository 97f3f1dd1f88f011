"""What the journal has and the database has not yet. Readers find it here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section, cut

from .entry import Entry


class Ahead:
    """Changed by the thread that commits, read by another: lists only grow, and `clear` leaves them to who has them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.bytes = 0
        self._sections: dict[str, list[Section]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry, sections: Iterable[tuple[str, Section]]) -> None:
        self.entries.append(entry)
        self.bytes += entry.data_bytes
        for topic, section in sections:
            self._sections.setdefault(topic, []).append(section)

    def clear(self) -> None:
        """All of it is in the database."""
        self.entries, self._sections, self.bytes = [], {}, 0

    def of(self, topic: str) -> list[Section]:
        """The topic's newest sections, without a hole between them."""
        return self._sections.get(topic, [])


def read(sections: list[Section], cursor: int, budget: int) -> Reading:
    """From the cursor on, which is not before the first of them."""
    found: list[Section] = []
    at = cursor
    for section in sections[bisect_right(sections, cursor, key=_first) - 1 :]:
        if section.end <= at:
            continue
        found.append(section if section.first == at else cut(section, at))
        at = section.end
        budget -= len(section.data)
        if budget <= 0:
            break
    return Reading(None, found, at)


def find(sections: list[Section], stamp: int | None, time_us: int | None) -> int:
    """The first offset flushed after a stamp, or at or after a time; the end where none is."""
    for section in sections:
        if section.stamp > stamp if stamp is not None else section.time_us >= (time_us or 0):
            return section.first
    return sections[-1].end


def _first(section: Section) -> int:
    return section.first
