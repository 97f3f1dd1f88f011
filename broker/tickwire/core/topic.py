"""A topic: its log, the run of payloads that waits for the flush, and the patterns that match it."""

from __future__ import annotations

from collections.abc import Sequence

from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import NOT_BUILT, Interest
from tickwire.fanout.section import SECTION_BYTES, SECTION_MESSAGES, Section, seal, seal_short
from tickwire.wire.encode import encode_section
from tickwire.wire.limits import MSGPACK
from tickwire.wire.topics import is_reserved

from .holdings import Holding


class Topic:
    """Offsets below `log.end` are shown, those below `sealed` on their way to the store; `end` is given out next."""

    __slots__ = (
        "_closed",
        "_format",
        "_pieces",
        "_size",
        "aging",
        "born",
        "built",
        "durable",
        "end",
        "first",
        "holding",
        "interests",
        "log",
        "matched",
        "name",
        "pending_bytes",
        "reserved",
        "sealed",
        "stamp",
        "told",
        "touched",
    )

    def __init__(self, name: str, log: TopicLog, born: int = 0, holding: Holding | None = None) -> None:
        self.name = name
        self.holding = holding  # of the subject that made it, where those are counted
        self.reserved = is_reserved(name)
        self.first = self.sealed = self.end = log.end
        self.log = log
        self.durable = log.stored_from is not None
        self.born = born  # the stamp at which it was made
        self.stamp = 0  # of its last flush
        self.aging = False  # its log has an age to be looked at
        self.touched = False  # has something to flush
        self.interests: tuple[Interest, ...] = ()
        self.built = NOT_BUILT  # from `interests`
        self.matched = -1  # the generation of the index in which `interests` is right
        self.told = -1  # the engine's count of falls in which all who are behind have a cursor here
        self.pending_bytes = 0  # of all payloads that wait
        self._pieces: list[Sequence[bytes]] = []
        self._size = 0
        self._format = 0
        self._closed: list[tuple[list[Sequence[bytes]], int, int]] = []  # of other formats, before the current one

    @property
    def has_history(self) -> bool:
        """Whether anything of it can be read, or is on its way to where it can be."""
        return self.log.oldest < self.end

    def append(self, payloads: Sequence[bytes], size: int, format: int) -> int:
        """Take payloads of `size` bytes in all into the pending run; returns the offset of the first."""
        first = self.end
        self.end = first + len(payloads)
        self.pending_bytes += size
        pieces = self._pieces
        if not pieces:
            self._pieces, self._size, self._format = [payloads], size, format
        elif format == self._format:
            if type(payloads) is list and type(last := pieces[-1]) is list:
                last += payloads
            else:
                pieces.append(payloads)
            self._size += size
        else:
            self._closed.append((pieces, self._size, self._format))
            self._pieces, self._size, self._format = [payloads], size, format
        return first

    def seal(self, stamp: int, time_us: int, now: float) -> list[Section]:
        """The pending run as sections. They are not in the log yet."""
        closed, first = self._closed, self.sealed
        pieces, size, format = last = self._pieces, self._size, self._format
        self._pieces, self._size = [], 0
        self.pending_bytes, self.touched = 0, False
        end = self.sealed = self.end
        if not closed:
            payloads = pieces[0]
            if (
                len(pieces) == 1
                and type(payloads) is list
                and size <= SECTION_BYTES
                and end - first <= SECTION_MESSAGES
            ):
                # The way of most, where one topic is flushed: what `seal` would do.
                data = encode_section(self.name, first, stamp, time_us, payloads, format)
                return [Section(first, end, stamp, time_us, now, data)]
            return seal(self.name, first, stamp, time_us, now, *last)
        self._closed = []
        sections: list[Section] = []
        for run in (*closed, last):
            sections += seal(self.name, first, stamp, time_us, now, *run)
            first = sections[-1].end
        return sections

    def take_back(self) -> None:
        """Nothing behind what is shown was kept: its offsets are given out again."""
        self._clear()
        self.sealed = self.end = self.log.end

    def _clear(self) -> None:
        self._pieces, self._size, self._closed = [], 0, []
        self.pending_bytes, self.touched = 0, False


Sealed = tuple[Topic, list[Section]]
_MANY = 4  # topics, from which they are sealed together


def seal_all(topics: list[Topic], stamp: int, time_us: int, now: float) -> list[Sealed]:
    """What each of them has pending, in their order. Of many topics, those with one short run are sealed together."""
    if len(topics) < _MANY:
        return [(topic, topic.seal(stamp, time_us, now)) for topic in topics]
    sealed: list[Sealed] = []
    names: list[str] = []
    firsts: list[int] = []
    ends: list[int] = []
    runs: list[list[bytes]] = []
    for topic in topics:
        pieces, first, end = topic._pieces, topic.sealed, topic.end
        payloads = pieces[0]
        if (
            len(pieces) == 1
            and type(payloads) is list
            and topic._format == MSGPACK
            and topic._size <= SECTION_BYTES
            and end - first <= SECTION_MESSAGES
            and not topic._closed
        ):
            names.append(topic.name)
            firsts.append(first)
            ends.append(end)
            runs.append(payloads)
            topic._pieces, topic._size, topic.pending_bytes, topic.touched = [], 0, 0, False
            topic.sealed = end
            sealed.append((topic, []))
        else:
            sealed.append((topic, topic.seal(stamp, time_us, now)))
    short = iter(seal_short(names, firsts, ends, runs, stamp, time_us, now))
    for _, sections in sealed:
        if not sections:
            sections.append(next(short))
    return sealed
