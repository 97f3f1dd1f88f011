"""Messages by their topics and offsets, as the fewest ranges that say which."""

from __future__ import annotations

from collections.abc import Iterator

from tickwire.wire.limits import RANGES

_FRAME_BYTES = 256 << 10  # of ranges: far below what a broker takes at its default, however long the topics are
_RANGE_BYTES = 24  # what a range takes beside its topic


class Ranges:
    """Most come in their order, and are one range then."""

    __slots__ = ("_topics", "count")

    def __init__(self) -> None:
        self.count = 0
        self._topics: dict[str, list[list[int]]] = {}  # topic -> [from, to]

    def add(self, topic: str, offset: int) -> None:
        self.count += 1
        ranges = self._topics.get(topic)
        if ranges is None:
            self._topics[topic] = [[offset, offset + 1]]
        elif ranges[-1][1] == offset:
            ranges[-1][1] = offset + 1
        else:
            ranges.append([offset, offset + 1])

    def add_all(self, topic: str, start: int, end: int) -> None:
        """The offsets [start, end)."""
        self.count += end - start
        ranges = self._topics.setdefault(topic, [])
        if ranges and ranges[-1][1] == start:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])

    def parts(self) -> Iterator[list[tuple[str, int, int]]]:
        """(topic, from, to), joined where they touch, as many at a time as a frame holds."""
        part: list[tuple[str, int, int]] = []
        room = _FRAME_BYTES
        for topic, ranges in self._topics.items():
            size = len(topic.encode()) + _RANGE_BYTES
            for start, end in _joined(ranges):
                if room < size or len(part) == RANGES:
                    yield part
                    part, room = [], _FRAME_BYTES
                part.append((topic, start, end))
                room -= size
        if part:
            yield part


def _joined(ranges: list[list[int]]) -> list[list[int]]:
    if len(ranges) == 1:
        return ranges
    joined: list[list[int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return joined
