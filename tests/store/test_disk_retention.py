from __future__ import annotations

from collections.abc import Iterator

import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import Dropped, StoredTopic

from .made import Author, read_all, time_of


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk.formatted()


@pytest.fixture
def author(disk: FakeDisk) -> Iterator[Author]:
    author = Author(disk.store())
    author.stamp = 0
    yield author
    disk.kill()


def test_by_messages_whole_sections_go_as_long_as_enough_remain(author: Author) -> None:
    for _ in range(5):
        author.commit(("a", 3))

    dropped = author.store.retain(lambda topic: Policy(messages=7), time_of(6))

    assert dropped == [Dropped("a", 6, 2)]
    assert author.store.retain(lambda topic: Policy(messages=7), time_of(6)) == []


def test_by_bytes_the_oldest_go_until_the_rest_fits(author: Author) -> None:
    for _ in range(5):
        author.commit(("a", 1), size=1_000)
    size = len(author.store.read("a", 0, 1).sections[0].data)

    dropped = author.store.retain(lambda topic: Policy(bytes=2 * size), time_of(6))

    assert dropped == [Dropped("a", 3, 3)]


def test_the_newest_section_is_kept_whatever_its_size(author: Author) -> None:
    author.commit(("a", 50), size=1_000)

    assert author.store.retain(lambda topic: Policy(bytes=1, messages=1), time_of(6)) == []


def test_by_age_even_the_newest_goes(author: Author) -> None:
    for _ in range(5):
        author.commit(("a", 1))

    some = author.store.retain(lambda topic: Policy(seconds=1), time_of(3) + 1_000_000)
    rest = author.store.retain(lambda topic: Policy(seconds=1), time_of(60) + 1_000_000)

    assert (some, rest) == ([Dropped("a", 2, 2)], [Dropped("a", 5, 5)])


def test_each_topic_has_its_own_policy(author: Author) -> None:
    for _ in range(4):
        author.commit(("a", 1), ("b", 1), ("c", 1))

    dropped = author.store.retain({"a": Policy(messages=1), "b": Policy(messages=2), "c": Policy()}.__getitem__, 0)

    assert sorted(dropped, key=lambda each: each.topic) == [Dropped("a", 3, 3), Dropped("b", 2, 2)]


def test_one_call_does_a_bounded_amount_of_work_and_the_next_goes_on(author: Author) -> None:
    for _ in range(700):
        author.commit(("a", 1), ("b", 1))

    calls = []
    while dropped := author.store.retain(lambda topic: Policy(messages=10), 0):
        calls.append(dropped)

    assert len(calls) == 3
    assert {each.topic: each.start for call in calls for each in call} == {"a": 690, "b": 690}


def test_many_topics_are_looked_at_by_turns(author: Author) -> None:
    for number in range(50):
        author.commit(*((f"t.{number}.{each}", 1) for each in range(100)))

    calls = [author.store.retain(lambda topic: Policy(seconds=1), time_of(0) + 10_000_000) for _ in range(20)]

    assert len({each.topic for call in calls for each in call}) == 5_000


def test_what_was_dropped_stays_so_in_the_next_life(author: Author, disk: FakeDisk) -> None:
    for _ in range(5):
        author.commit(("a", 2), ("b", 1))
    author.store.retain({"a": Policy(messages=4), "b": Policy(seconds=1)}.__getitem__, time_of(0) + 60_000_000)
    disk.kill()

    again = Author(disk.store())

    assert sorted(again.life.topics, key=lambda topic: topic.name) == [
        StoredTopic("a", 6, 10, 5, dropped_stamp=3),
        StoredTopic("b", 5, 5, 5, dropped_stamp=5),
    ]
    again.commit(("b", 1))
    assert read_all(again.store, "b", 6).gaps == [(0, 5, "evicted")]


def test_sizes_are_known_without_reading_sections_in_the_next_life(author: Author, disk: FakeDisk) -> None:
    for _ in range(5):
        author.commit(("a", 1), size=1_000)
    size = len(author.store.read("a", 0, 1).sections[0].data)
    disk.kill()
    again = Author(disk.store())

    dropped = again.store.retain(lambda topic: Policy(bytes=3 * size), time_of(6))

    assert dropped == [Dropped("a", 2, 2)]
