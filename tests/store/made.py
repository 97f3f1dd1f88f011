"""Batches whose every payload says where it belongs, and readings that are looked at byte by byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgpack

from tickwire.core.store import Batch, Life, Store
from tickwire.fanout.section import Section, seal

TIME_US = 1_795_000_000_000_000


def payload(topic: str, offset: int, size: int = 0) -> bytes:
    """Beside its name noise, so that it takes the room on the disk that its size says."""
    name = f"{topic} {offset} ".encode()
    return name + Random(offset).randbytes(max(0, size - len(name)))


def sections(topic: str, first: int, count: int, stamp: int, size: int = 0) -> list[tuple[str, Section]]:
    payloads = [payload(topic, offset, size) for offset in range(first, first + count)]
    length = sum(map(len, payloads))
    sealed = seal(topic, first, stamp, time_of(stamp), 0.0, [payloads], length, 0)
    return [(topic, section) for section in sealed]


def time_of(stamp: int) -> int:
    """One millisecond a flush."""
    return TIME_US + (stamp & 0xFFFFFFFF) * 1_000


def batch(stamp: int, *runs: tuple[str, int, int], size: int = 0, **rest: Any) -> Batch:
    """Runs of `(topic, first offset, count)`."""
    made = [section for topic, first, count in runs for section in sections(topic, first, count, stamp, size)]
    return Batch(stamp, time_of(stamp), made, **rest)


class Author:
    """Commits to a store, and knows what is in it."""

    def __init__(self, store: Store, life: Life | None = None) -> None:
        self.store = store
        life = store.open() if life is None else life
        self.life, self.stamp = life, life.stamp
        self.ends = {topic.name: topic.end for topic in life.topics}

    def commit(self, *runs: tuple[str, int], size: int = 0, **rest: Any) -> None:
        """Runs of `(topic, count)`, each behind the last."""
        self.stamp += 1
        ends = dict(self.ends)
        placed = []
        for topic, count in runs:
            placed.append((topic, ends.get(topic, 0), count))
            ends[topic] = ends.get(topic, 0) + count
        self.store.commit(batch(self.stamp, *placed, size=size, **rest))
        self.ends = ends


@dataclass(slots=True)
class Story:
    """What a reader was told of a topic, in order."""

    messages: dict[int, bytes] = field(default_factory=dict)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)


def read_all(store: Store, topic: str, end: int, cursor: int = 0, budget: int = 4096) -> Story:
    """Read from the cursor to the end. Everything is true, and nothing between is silently missing."""
    story = Story()
    while cursor < end:
        reading = store.read(topic, cursor, budget)
        if reading.gap_end is not None:
            assert cursor < reading.gap_end <= end
            story.gaps.append((cursor, reading.gap_end, reading.reason))
            cursor = reading.gap_end
        for section in reading.sections:
            name, first, stamp, time_us, payloads, *_ = msgpack.unpackb(section.data)
            assert (name, first, stamp, time_us) == (topic, section.first, section.stamp, section.time_us)
            assert section.first == cursor
            assert section.end == cursor + len(payloads)
            for offset, each in enumerate(payloads, cursor):
                assert each == payload(topic, offset, len(each))
                story.messages[offset] = each
            cursor = section.end
        assert reading.next == cursor
        assert reading.sections or reading.gap_end is not None, "a read that gets nowhere"
    return story
