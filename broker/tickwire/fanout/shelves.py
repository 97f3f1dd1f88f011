"""Logs as readers see them: what memory let go of is asked for, and read from the store by somebody who may wait."""

from __future__ import annotations

from .log import Reading, TopicLog

READ_BYTES = 128 << 10  # of a topic at a time
_SHELVED = 64  # readings kept: readers of one topic that come one after another share them


class Shelves:
    """Reads logs without waiting. What is only in the store is `wanted`, and there at a later try."""

    def __init__(self) -> None:
        self.wanted: dict[tuple[TopicLog, int], None] = {}
        self._asked: set[tuple[TopicLog, int]] = set()
        self._read: dict[tuple[TopicLog, int], Reading] = {}

    def read(self, log: TopicLog, cursor: int, budget: int = READ_BYTES) -> Reading | None:
        """What stands from the cursor on, or None where the store must be asked first."""
        if log.stored_from is None or cursor >= log.start:
            return log.read(cursor, budget)
        reading = self._read.get((log, cursor))
        if reading is None and (log, cursor) not in self._asked:
            self.wanted[log, cursor] = None
        return reading

    def take_wanted(self) -> list[tuple[TopicLog, int]]:
        """What is to be read from the store now."""
        wanted = list(self.wanted)
        self._asked.update(wanted)
        self.wanted.clear()
        return wanted

    def put(self, log: TopicLog, cursor: int, reading: Reading) -> None:
        """The store has answered."""
        self._asked.discard((log, cursor))
        self._read[log, cursor] = reading
        if len(self._read) > _SHELVED:
            del self._read[next(iter(self._read))]
