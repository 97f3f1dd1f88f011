from __future__ import annotations

from collections.abc import Iterator

import msgpack
import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.fanout.log import Reading

from .made import Author, read_all, time_of


@pytest.fixture
def author() -> Iterator[Author]:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.stamp = 0
    yield author
    author.store.close()


def test_a_cursor_inside_a_section_gets_the_remainder(author: Author) -> None:
    author.commit(("a", 5))

    reading = author.store.read("a", 3, 1_000)

    assert (reading.gap_end, reading.next, len(reading.sections)) == (None, 5, 1)
    assert msgpack.unpackb(reading.sections[0].data) == ["a", 3, 1, time_of(1), [b"a 3 ", b"a 4 "]]


def test_a_read_brings_at_least_one_section_and_no_more_than_its_budget_needs(author: Author) -> None:
    for _ in range(10):
        author.commit(("a", 1), size=1_000)

    small, large = author.store.read("a", 0, 1), author.store.read("a", 0, 2_500)

    assert (small.next, large.next) == (1, 3)


def test_a_read_at_the_end_brings_nothing(author: Author) -> None:
    author.commit(("a", 5))

    assert author.store.read("a", 5, 1_000) == Reading(None, [], 5)


def test_what_retention_dropped_is_a_gap_with_its_reason(author: Author) -> None:
    for _ in range(5):
        author.commit(("a", 2))
    author.store.retain(lambda topic: Policy(messages=4), time_of(6))

    story = read_all(author.store, "a", 10, cursor=3)

    assert story.gaps == [(3, 6, "evicted")]
    assert sorted(story.messages) == [6, 7, 8, 9]


def test_a_topic_is_read_from_among_others(author: Author) -> None:
    for number in range(40):
        author.commit(("a", number % 3 + 1), ("b", 1), ("a.c", 2))

    for topic in ("a", "b", "a.c"):
        story = read_all(author.store, topic, author.ends[topic], budget=100)
        assert (sorted(story.messages), story.gaps) == (list(range(author.ends[topic])), [])


@pytest.mark.parametrize("commits", [1, 2, 7, 40])
def test_any_stamp_and_any_time_are_found(author: Author, commits: int) -> None:
    firsts = []
    for number in range(commits):
        firsts.append(author.ends.get("a", 0))
        author.commit(("a", 1 + number * number % 7))
        author.commit(("other", 1))

    for stamp in range(2 * commits + 2):
        after = [first for index, first in enumerate(firsts) if 2 * index + 1 > stamp]
        since = [first for index, first in enumerate(firsts) if 2 * index + 1 >= stamp]
        assert author.store.find("a", stamp=stamp) == (after or [author.ends["a"]])[0]
        assert author.store.find("a", time_us=time_of(stamp)) == (since or [author.ends["a"]])[0]


def test_what_was_dropped_is_not_found(author: Author) -> None:
    for _ in range(6):
        author.commit(("a", 2))
    author.store.retain(lambda topic: Policy(messages=4), time_of(7))

    assert author.store.find("a", stamp=1) == 8
    assert author.store.find("a", time_us=0) == 8
