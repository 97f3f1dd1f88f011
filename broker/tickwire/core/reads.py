"""What only the store can say: pieces of logs that memory let go of, and where in them something was."""

from __future__ import annotations

from dataclasses import dataclass

from tickwire.fanout.log import Reading, TopicLog
from tickwire.fanout.shelves import READ_BYTES
from tickwire.wire.codes import CORRUPT, EVICTED

from .store import Store, StoreFailed
from .trails import Seek, Trail


@dataclass(slots=True)
class ReadSections:
    """Sections from a cursor on."""

    log: TopicLog
    cursor: int
    reading: Reading | None = None

    def run(self, store: Store) -> None:
        """Ask the store. Takes the time of a disk; everything else here is for the loop."""
        try:
            self.reading = store.read(self.log.topic, self.cursor, READ_BYTES)
        except StoreFailed:
            self.reading = None

    def result(self) -> Reading:
        """What the store said. A reader always gets further by it: where nothing is there, that is a gap."""
        reading = None if self.reading is None else self._shown(self.reading)
        if reading is not None and (reading.sections or reading.next > self.cursor):
            return reading
        reason = EVICTED if self.cursor < (self.log.stored_from or 0) else CORRUPT
        end = max(self.log.start, self.cursor)
        return Reading(end, [], end, reason)

    @property
    def damage(self) -> tuple[int, int] | None:
        """The offsets of which the disk does not give back what it was given, if the store found some."""
        reading = self.reading
        if reading is None or reading.gap_end is None or reading.reason != CORRUPT:
            return None
        return self.cursor, reading.gap_end

    def _shown(self, reading: Reading) -> Reading:
        """Without what the store has already, and nobody was shown yet: that comes with its flush."""
        end = self.log.end
        if reading.next <= end:
            return reading
        gap_end = None if reading.gap_end is None else min(reading.gap_end, end)
        sections = [section for section in reading.sections if section.end <= end]
        return Reading(gap_end, sections, sections[-1].end if sections else gap_end or self.cursor, reading.reason)


@dataclass(slots=True)
class ReadPlace:
    """Where a trail begins in a topic."""

    trail: Trail
    seek: Seek
    offset: int | None = None

    def run(self, store: Store) -> None:
        seek, topic = self.seek, self.seek.log.topic
        try:
            offset = store.find(topic, seek.stamp, seek.time_us)
            gap_end = store.read(topic, seek.oldest, 1).gap_end if offset > seek.oldest else None
        except StoreFailed:
            return
        # Where the oldest went meanwhile, what was found may be only the first that is left.
        self.offset = seek.oldest if gap_end is not None and offset <= gap_end else offset

    def settle(self) -> None:
        """Tell the trail. Where the store cannot say, it begins with what was the oldest when it was asked."""
        seek = self.seek
        self.trail.found(seek, seek.oldest if self.offset is None else min(self.offset, seek.log.end))


Read = ReadSections | ReadPlace
