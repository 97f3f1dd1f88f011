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
    waiting: bool = False  # its holder says that it has not come to these: it does not count when their time is over


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

    def may_be_settled(self, by: Holder) -> bool:
        """Whether it is this one's word: it has them, or nobody has."""
        run = self.run
        return run is None or run.holder is by or run.holder.gone


class _Block:
    """The open ranges of one block in order, and their first offsets: a list of integers is searched in C."""

    __slots__ = ("firsts", "opens")

    def __init__(self, open: Open) -> None:
        self.firsts, self.opens = [open.first], [open]


class Blocks:
    """Open ranges in order of their offsets. They are added in that order too."""

    __slots__ = ("_blocks", "_keys", "count")

    def __init__(self) -> None:
        self.count = 0
        self._blocks: dict[int, _Block] = {}
        self._keys: list[int] = []  # ascending; those of blocks that are gone stay until they are half of it

    def __iter__(self) -> Iterator[Open]:
        for block in self._blocks.values():
            yield from block.opens

    @property
    def first(self) -> int | None:
        """The lowest offset that is open."""
        return self._blocks[self._first_key()].firsts[0] if self._blocks else None

    def block(self, key: int) -> list[Open]:
        """The open ranges of a block, in order. Not to be changed."""
        block = self._blocks.get(key)
        return block.opens if block is not None else []

    def add(self, open: Open) -> None:
        """Open messages behind all that ever were."""
        key = open.first >> BLOCK_BITS
        block = self._blocks.get(key)
        self.count += 1
        if block is not None:
            block.firsts.append(open.first)
            block.opens.append(open)
            return
        self._blocks[key] = _Block(open)
        if not self._keys or self._keys[-1] != key:
            self._keys.append(key)

    def at(self, offset: int) -> Open | None:
        """The open range that an offset is in."""
        block = self._blocks.get(offset >> BLOCK_BITS)
        if block is None:
            return None
        index = bisect_right(block.firsts, offset) - 1
        open = block.opens[index]
        return open if index >= 0 and offset < open.end else None

    def within(self, first: int, end: int) -> Iterator[Open]:
        """The open ranges that have an offset in [first, end). They may be carved meanwhile, and not removed."""
        last = (end - 1) >> BLOCK_BITS
        for index in range(bisect_left(self._keys, first >> BLOCK_BITS), len(self._keys)):
            key = self._keys[index]
            if key > last:
                break
            block = self._blocks.get(key)
            if block is not None:
                low = max(0, bisect_right(block.firsts, first) - 1)
                for open in block.opens[low : bisect_left(block.firsts, end, lo=low)]:
                    if open.end > first:
                        yield open

    def carve(self, open: Open, first: int, end: int) -> Open:
        """Make what an open range has of [first, end) a range of its own, and return it."""
        if first <= open.first and open.end <= end:
            return open
        block = self._blocks[open.first >> BLOCK_BITS]
        index = bisect_left(block.firsts, open.first)
        if end < open.end:
            rest = Open(end, open.end, open.attempts, open.run, open.due)
            block.opens.insert(index + 1, rest)
            block.firsts.insert(index + 1, end)
            open.end = end
            self.count += 1
        if first > open.first:
            carved = Open(first, open.end, open.attempts, open.run, open.due)
            block.opens.insert(index + 1, carved)
            block.firsts.insert(index + 1, first)
            open.end = first
            self.count += 1
            return carved
        return open

    def remove(self, open: Open) -> None:
        """These are settled."""
        key = open.first >> BLOCK_BITS
        block = self._blocks[key]
        self.count -= 1
        if len(block.opens) > 1:
            index = bisect_left(block.firsts, open.first)
            del block.opens[index], block.firsts[index]
            return
        del self._blocks[key]
        if len(self._keys) > 2 * len(self._blocks) + BLOCK:
            self._keys = list(self._blocks)

    def join(self, open: Open) -> None:
        """Make one range of this one and the one before it, where nothing tells them apart. Nobody has either."""
        block = self._blocks[open.first >> BLOCK_BITS]
        index = bisect_left(block.firsts, open.first)
        before = block.opens[index - 1] if index else open
        same = before.run is None and before.attempts == open.attempts and before.due == open.due
        if same and before.end == open.first:
            before.end = open.end
            del block.opens[index], block.firsts[index]
            self.count -= 1

    def replace(self, first: int, end: int, by: Open) -> None:
        """One range in place of those of a block that make up exactly [first, end)."""
        block = self._blocks[first >> BLOCK_BITS]
        index = bisect_left(block.firsts, first)
        behind = bisect_left(block.firsts, end, lo=index)
        block.opens[index:behind] = [by]
        block.firsts[index:behind] = [first]
        self.count += 1 - (behind - index)

    def _first_key(self) -> int:
        index = 0
        while self._keys[index] not in self._blocks:
            index += 1
        if index:
            del self._keys[:index]
        return self._keys[0]
