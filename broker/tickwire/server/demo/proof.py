"""The proof that every reader got every price: count, consecutive offsets and a running checksum of each topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

from .figures import counted

Table = dict[str, list[int]]  # topic -> [count, first offset, next offset, checksum]

_SHOWN = 20


class Seen(Protocol):
    """What the proof needs of a message."""

    @property
    def topic(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


@dataclass(slots=True)
class Ledger:
    """What one reader, or the publisher, has seen of each topic."""

    table: Table = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)  # jumps and gaps, in words
    count: int = 0

    def take(self, messages: Sequence[Seen]) -> None:
        """Enter messages that were received. Thousands of readers do this in one process: no calls in the loop."""
        table = self.table
        for message in messages:
            topic, offset, payload = message.topic, message.offset, message.payload
            row = table.get(topic)
            if row is None:
                row = table[topic] = [0, offset, offset, 0]
            elif offset != row[2]:
                self.remark(f"{topic}: offset {offset} came where {row[2]} was due")
            row[0] += 1
            row[2] = offset + 1
            row[3] = crc32(payload, row[3])
        self.count += len(messages)

    def remark(self, text: str) -> None:
        if len(self.remarks) < _SHOWN:
            self.remarks.append(text)


@dataclass(frozen=True, slots=True)
class Proof:
    """The comparison of all readers with the publisher."""

    readers: int
    topics: int
    deliveries: int
    differences: list[str]

    @property
    def holds(self) -> bool:
        return not self.differences

    def lines(self) -> list[str]:
        """What to tell: one sentence when it holds; else each difference, the first of them where there are many."""
        what = f"{counted(self.readers, 'reader')} x {self.topics} topics: {self.deliveries:,} deliveries"
        if self.holds:
            return [f"{what}, every count, offset and checksum equal to the publisher's"]
        shown = self.differences[:_SHOWN]
        more = [f"... and {len(self.differences) - len(shown)} more"] if len(shown) < len(self.differences) else []
        count = counted(len(self.differences), "difference")
        return [f"{what}, {count} from what was published:", *shown, *more]


def compare(published: Ledger, readers: Mapping[int, Ledger], expected: int) -> Proof:
    """Hold each reader's ledger against the publisher's; `expected` is how many readers there should be."""
    differences = list(published.remarks)
    for number in range(1, expected + 1):
        ledger = readers.get(number)
        if ledger is None:
            differences.append(f"reader {number}: nothing was heard of it")
        else:
            differences += (f"reader {number}, {text}" for text in _differences(published.table, ledger))
    deliveries = sum(ledger.count for ledger in readers.values())
    return Proof(expected, len(published.table), deliveries, differences)


def _differences(published: Table, ledger: Ledger) -> Iterable[str]:
    yield from ledger.remarks
    for topic, expected in published.items():
        got = ledger.table.get(topic)
        if got is None:
            yield f"{topic}: got none of {expected[0]} messages"
        elif got != expected:
            yield f"{topic}: {_difference(got, expected)}"
    for topic in ledger.table.keys() - published.keys():
        yield f"{topic}: got {ledger.table[topic][0]} messages, but none was published"


def _difference(got: list[int], expected: list[int]) -> str:
    count, first, after, checksum = got
    parts = []
    if count != expected[0]:
        parts.append(f"got {count} messages of {expected[0]}")
    if (first, after) != (expected[1], expected[2]):
        parts.append(f"offsets {first} to {after - 1} instead of {expected[1]} to {expected[2] - 1}")
    if checksum != expected[3]:
        parts.append(f"checksum {checksum:08x} instead of {expected[3]:08x}")
    return ", ".join(parts)
