"""Ranges of offsets that are open, found by offset: kept in blocks, so that no operation moves more than one block."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK_BITS = 8
BLOCK = 1 << BLOCK_BITS  # messages; also the longest run that is dealt
READY, DYING = 0.0, float("inf")


class Holder(Protocol):
    """Who has messages; one that is gone has them only until somebody gets round to taking them back."""

    gone: bool


@dataclass(slots=True, eq=False)
class Run:
    """Messages that were handed out together: `left` of them are still with the holder. Never over two blocks."""

    holder: Holder
    first: int
    end: int
    deadline: float
    left: int


@dataclass(slots=True, eq=False)
class Open:
    """Messages [first, end) that were handed out, or were to be, and are not settled. Never over two blocks."""

    first: int
    end: int
    attempts: int  # the times they were handed out, with that of the run
    run: Run | None = None  # None where nobody has them: then they are handed out again when they are due
    due: float = READY

    @property
    def held(self) -> bool:
        return self.run is not None and not self.run.holder.gone


class Blocks:
    """Open ranges in order of their offsets. They are added in that order too."""

    __slots__ = ("_blocks", "_keys", "count")

    def __init__(self) -> None:
        self.count = 0
        self._blocks: dict[int, list[Open]] = {}
        self._keys: list[int] = []  # ascending; those of blocks that are gone stay until they are half of it

    def __iter__(self) -> Iterator[Open]:
        for block in self._blocks.values():
            yield from block

    @property
    def first(self) -> int | None:
        """The lowest offset that is open."""
        return self._blocks[self._live_key(0)][0].first if self._blocks else None

    def block(self, key: int) -> list[Open]:
        """The open ranges of a block, in order. Not to be changed."""
        return self._blocks.get(key, _NONE)

    def add(self, open: Open) -> None:
        """Open messages behind all that ever were."""
        key = open.first >> BLOCK_BITS
        block = self._blocks.get(key)
        if block is None:
            self._blocks[key] = [open]
            if not self._keys or self._keys[-1] != key:
                self._keys.append(key)
        else:
            block.append(open)
        self.count += 1

    def within(self, first: int, end: int) -> Iterator[Open]:
        """The open ranges that have an offset in [first, end). They may be carved meanwhile, and not removed."""
        last = (end - 1) >> BLOCK_BITS
        for index in range(bisect_left(self._keys, first >> BLOCK_BITS), len(self._keys)):
            key = self._keys[index]
            if key > last:
                break
            block = self._blocks.get(key)
            if block is not None:
                for open in block[max(0, bisect_right(block, first, key=_first) - 1) :]:
                    if open.first >= end:
                        break
                    if open.end > first:
                        yield open

    def carve(self, open: Open, first: int, end: int) -> Open:
        """Make what an open range has of [first, end) a range of its own, and return it."""
        first, end = max(first, open.first), min(end, open.end)
        if first == open.first and end == open.end:
            return open
        block = self._blocks[open.first >> BLOCK_BITS]
        index = bisect_left(block, open.first, key=_first)
        pieces = [
            Open(start, stop, open.attempts, open.run, open.due)
            for start, stop in ((open.first, first), (first, end), (end, open.end))
            if start < stop
        ]
        block[index : index + 1] = pieces
        self.count += len(pieces) - 1
        return pieces[0] if first == open.first else pieces[1]

    def remove(self, open: Open) -> None:
        """These are settled."""
        key = open.first >> BLOCK_BITS
        block = self._blocks[key]
        self.count -= 1
        if len(block) > 1:
            del block[bisect_left(block, open.first, key=_first)]
            return
        del self._blocks[key]
        if len(self._keys) > 2 * len(self._blocks) + BLOCK:
            self._keys = list(self._blocks)

    def join(self, open: Open) -> None:
        """Make one range of this one and the one before it, where nothing tells them apart. Nobody has either."""
        block = self._blocks[open.first >> BLOCK_BITS]
        index = bisect_left(block, open.first, key=_first)
        before = block[index - 1] if index else open
        same = before.run is None and (before.attempts, before.due) == (open.attempts, open.due)
        if same and before.end == open.first:
            before.end = open.end
            del block[index]
            self.count -= 1

    def replace(self, first: int, end: int, by: Open) -> None:
        """One range in place of those of a block that make up exactly [first, end)."""
        block = self._blocks[first >> BLOCK_BITS]
        index = bisect_left(block, first, key=_first)
        behind = bisect_left(block, end, lo=index, key=_first)
        block[index:behind] = [by]
        self.count += 1 - (behind - index)

    def _live_key(self, index: int) -> int:
        while self._keys[index] not in self._blocks:
            index += 1
        if index:
            del self._keys[:index]
        return self._keys[0]


def _first(open: Open) -> int:
    return open.first


_NONE: list[Open] = []
