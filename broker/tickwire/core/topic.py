"""A topic: its log, the run of payloads that waits for the flush, and the patterns that match it."""

from __future__ import annotations

from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import Interest
from tickwire.fanout.section import Section, seal
from tickwire.wire.topics import is_reserved


class Topic:
    """Offsets below `log.end` are flushed; those up to `end` are given out already."""

    __slots__ = (
        "_closed",
        "_format",
        "_payloads",
        "_size",
        "aging",
        "end",
        "first",
        "interests",
        "log",
        "matched",
        "name",
        "pending_bytes",
        "reserved",
        "stamp",
        "told",
        "touched",
    )

    def __init__(self, name: str, first: int, retain_bytes: int, retain_seconds: float) -> None:
        self.name = name
        self.reserved = is_reserved(name)
        self.first = self.end = first
        self.log = TopicLog(name, first, retain_bytes, retain_seconds)
        self.stamp = 0  # of its last flush
        self.aging = False  # its log has an age to be looked at
        self.touched = False  # has something to flush
        self.interests: tuple[Interest, ...] = ()
        self.matched = -1  # the generation of the index in which `interests` is right
        self.told = -1  # the engine's count of falls in which all who are behind have a cursor here
        self.pending_bytes = 0  # of all payloads that wait
        self._payloads: list[bytes] = []
        self._size = 0
        self._format = 0
        self._closed: list[tuple[list[bytes], int, int]] = []  # runs of another format, before the current one

    def append(self, payloads: list[bytes], size: int, format: int) -> int:
        """Take payloads of `size` bytes in all into the pending run; returns the offset of the first."""
        first = self.end
        self.end = first + len(payloads)
        self.pending_bytes += size
        if not self._payloads:
            self._payloads, self._size, self._format = payloads, size, format
        elif format == self._format:
            self._payloads += payloads
            self._size += size
        else:
            self._closed.append((self._payloads, self._size, self._format))
            self._payloads, self._size, self._format = payloads, size, format
        return first

    def seal(self, stamp: int, time_us: int, now: float) -> list[Section]:
        """The pending run as sections. They are not in the log yet."""
        closed, first = self._closed, self.log.end
        closed.append((self._payloads, self._size, self._format))
        self._payloads, self._size, self._closed = [], 0, []
        self.pending_bytes = 0
        self.stamp, self.touched = stamp, False
        sections: list[Section] = []
        for payloads, size, format in closed:
            sections += seal(self.name, first, stamp, time_us, now, payloads, size, format)
            first += len(payloads)
        return sections

    def moved_since(self, stamp: int) -> int:
        """The first offset flushed after a stamp; its very first where the log cannot tell any more."""
        return self.log.first_after(stamp) if self.log.knows(stamp) else self.first
