"""What was shown: all sections that any reader may have been given, with their stamps. The yardstick of the watch."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Shown(NamedTuple):
    first: int
    end: int
    stamp: int


class Truth:
    """By topic, in order. What a broker without a disk forgot is forgotten here too."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Shown]] = {}
        self.begun: set[tuple[str, int]] = set()  # where topics began, each time that they came anew

    def add(self, topic: str, first: int, end: int, stamp: int, begins: bool = False) -> None:
        if begins or topic not in self.topics:
            self.begun.add((topic, first))
        self.topics.setdefault(topic, []).append(Shown(first, end, stamp))

    def end(self, topic: str) -> int:
        """The offset behind all that was shown of it."""
        shown = self.topics.get(topic)
        return shown[-1].end if shown else 0

    def end_at(self, topic: str, stamp: int) -> int | None:
        """The offset behind all that was shown up to a stamp; None where nothing was."""
        shown = self.topics.get(topic, [])
        count = bisect_right(shown, stamp, key=_stamp)
        return shown[count - 1].end if count else None

    def first_after(self, topic: str, stamp: int) -> int | None:
        """The first offset that was shown after a stamp; None where there is none yet."""
        shown = self.topics.get(topic, [])
        index = bisect_right(shown, stamp, key=_stamp)
        return shown[index].first if index < len(shown) else None

    def forget(self, topic: str) -> None:
        self.topics.pop(topic, None)


def _stamp(shown: Shown) -> int:
    return shown.stamp
