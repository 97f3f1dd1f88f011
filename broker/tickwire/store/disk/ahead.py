"""What the journal has and the database has not yet. Readers find it here."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section, cut

from .entry import Entry


class Ahead:
    """One thread adds to it, another brings the oldest home, and a third reads: `drop` leaves lists to who has them."""

    def __init__(self) -> None:
        self.bytes = 0
        self._entries: list[Entry] = []
        self._topics: list[list[str]] = []  # of the sections of each
        self._sections: dict[str, list[Section]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[Entry]:
        """Those that there are now, oldest first."""
        return self._entries[:]

    def add(self, entry: Entry, sections: Iterable[tuple[str, Section]]) -> None:
        with self._lock:
            self._entries.append(entry)
            self.bytes += entry.data_bytes
            topics = []
            for topic, section in sections:
                topics.append(topic)
                self._sections.setdefault(topic, []).append(section)
            self._topics.append(topics)

    def drop(self, count: int) -> None:
        """So many of the oldest are in the database."""
        with self._lock:
            self.bytes -= sum(entry.data_bytes for entry in self._entries[:count])
            gone = Counter(topic for topics in self._topics[:count] for topic in topics)
            self._entries, self._topics = self._entries[count:], self._topics[count:]
            # Those of all topics change at once, in what a reader may be looking at.
            kept = {topic: sections[gone[topic] :] for topic, sections in self._sections.items()}
            self._sections = {topic: sections for topic, sections in kept.items() if sections}

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
