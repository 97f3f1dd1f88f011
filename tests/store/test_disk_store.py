from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import GroupCursor, Identity, Life, StoredGroup, StoredTopic, StoreFailed
from tickwire.fanout.log import Reading
from tickwire.store.disk import DiskStore

from .made import Author, batch, read_all, time_of


def test_what_was_committed_is_read_back_as_it_was(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))

    author.commit(("a", 3), ("b", 1))
    author.commit(("a", 2))

    story = read_all(author.store, "a", 5)
    assert (sorted(story.messages), story.gaps) == ([0, 1, 2, 3, 4], [])
    assert sorted(read_all(author.store, "b", 1).messages) == [0]
    author.store.close()


@pytest.mark.parametrize("closed", [True, False])
def test_a_store_goes_on_where_it_ended(tmp_path: Path, closed: bool) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3), ("b", 1), floor=7, freed_stamp=1)
    author.commit(("a", 2))
    leave(author.store, closed)

    again = DiskStore(tmp_path)
    life = again.open()

    assert life.epoch == author.life.epoch
    assert sorted(life.topics, key=lambda topic: topic.name) == [StoredTopic("a", 0, 5, 2), StoredTopic("b", 0, 1, 1)]
    assert (life.time_us, life.floor, life.freed_stamp) == (time_of(2), 7, 1)
    assert len(read_all(again, "a", 5).messages) == 5
    again.close()


def test_stamps_and_volatile_offsets_of_a_life_are_above_all_that_earlier_ones_may_have_used(tmp_path: Path) -> None:
    first = Author(DiskStore(tmp_path))
    first.commit(("a", 1))
    first.store.close()

    second, third = DiskStore(tmp_path), DiskStore(tmp_path)
    life = second.open()
    second.close()
    later = third.open()
    third.close()

    assert first.life.stamp == 0
    assert life.stamp - first.stamp >= 1 << 31
    assert later.stamp - life.stamp >= 1 << 31
    assert later.volatile_floor - life.volatile_floor >= 1 << 32


def test_an_hour_claims_more_stamps_and_volatile_offsets(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    for second in range(0, 3_600, 10):
        author.store.retain(keep_all, time_of(0) + second * 1_000_000)
    author.store.close()

    life = life_of(tmp_path)

    assert life.volatile_floor >= 12 << 32


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("commits", [1, 1_200])
def test_identities_outlive_the_process(closed: bool, commits: int) -> None:
    disk = FakeDisk()
    author = Author(disk.store())
    sent = [Identity("trader", 7, number, number * 3, [number, 0]) for number in range(commits)]
    for identity in sent:
        author.commit(("a", 1), identities=[identity])
    if closed:
        author.store.close()
    disk.kill()

    life = disk.store().open()

    assert [identity for _, identity in life.identities] == sent
    assert [time for time, _ in life.identities] == [time_of(stamp) for stamp in range(1, commits + 1)]


def test_of_each_publisher_the_newest_frames_are_handed_out(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 1), identities=[Identity("slow", 1, 1, 0, [0])])
    author.commit(("a", 1), identities=[Identity("fast", 1, number, 0, [0]) for number in range(50)])
    author.store.close()

    life = life_of(tmp_path, identity_frames=3)

    assert [(each.publisher, each.sequence) for _, each in life.identities] == [
        ("slow", 1), ("fast", 47), ("fast", 48), ("fast", 49),
    ]  # fmt: skip


def test_identities_outside_the_window_are_forgotten() -> None:
    disk = FakeDisk()
    author = Author(disk.store(identity_seconds=60))
    for number in range(1_100):
        author.commit(("a", 1), identities=[Identity("old", 1, number, 0, [0])])
        author.store.settle()
    for second in range(0, 90, 5):
        author.store.retain(keep_all, time_of(1_100) + second * 1_000_000)
    author.commit(("a", 1), identities=[Identity("new", 1, 1, 0, [0])])
    author.store.close()

    life = disk.store().open()

    kept = [identity.sequence for _, identity in life.identities if identity.publisher == "old"]
    assert kept == list(range(1_024, 1_100))
    assert life.identities[-1][1].publisher == "new"


def test_a_clock_that_is_set_forward_lets_no_identity_be_forgotten() -> None:
    disk = FakeDisk()
    author = Author(disk.store(identity_seconds=60))
    for number in range(1_100):
        author.commit(("a", 1), identities=[Identity("old", 1, number, 0, [0])])
    for second in (0, 86_400, 0, 86_400):
        author.store.retain(keep_all, time_of(1_100) + second * 1_000_000)
    author.store.close()

    assert len(disk.store().open().identities) == 1_100


def test_groups_and_their_cursors_outlive_the_process(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    first = GroupCursor("billing", "orders.eu", 1, [(3, 4)], [(1, 2, 2)])
    author.commit(("orders.eu", 5), groups=[("billing", "orders.>")], cursors=[first])
    author.commit(cursors=[replace(first, cursor=4, settled=[])], groups=[("audit", "*")])
    author.store.close()

    life = life_of(tmp_path)

    assert sorted(life.groups, key=lambda group: group.name) == [
        StoredGroup("audit", "*", []),
        StoredGroup("billing", "orders.>", [GroupCursor("billing", "orders.eu", 4, [], [(1, 2, 2)])]),
    ]


def test_a_freed_topic_is_forgotten_with_the_cursors_that_had_all_of_it(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    level, late = GroupCursor("level", "a", 2, []), GroupCursor("late", "a", 1, [])
    author.commit(("a", 2), ("b", 1), groups=[("level", "*"), ("late", "*")], cursors=[level, late])

    author.commit(freed=["a"], floor=2, freed_stamp=1)

    assert author.store.read("a", 0, 100) == Reading(None, [], 0)
    author.store.close()
    life = life_of(tmp_path)
    assert [topic.name for topic in life.topics] == ["b"]
    assert {group.name: group.cursors for group in life.groups} == {"level": [], "late": [late]}
    assert (life.floor, life.freed_stamp) == (2, 1)


@pytest.mark.parametrize("closed", [True, False])
def test_a_topic_that_is_freed_and_comes_back_in_one_commit_is_a_new_one(tmp_path: Path, closed: bool) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))

    author.store.commit(batch(2, ("a", 10, 2), freed=["a"], floor=10))

    assert sorted(read_all(author.store, "a", 12, cursor=10).messages) == [10, 11]
    leave(author.store, closed)
    assert life_of(tmp_path).topics == [StoredTopic("a", 10, 12, 2)]


def test_a_commit_that_would_leave_a_hole_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))

    with pytest.raises(ValueError, match="begins at 4, and the topic ends at 3"):
        author.store.commit(batch(2, ("b", 0, 1), ("a", 4, 1)))

    author.commit(("a", 1))
    author.store.close()
    assert life_of(tmp_path).topics == [StoredTopic("a", 0, 4, 2)]


def test_a_topic_that_is_not_there_cannot_be_searched(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))

    with pytest.raises(StoreFailed, match="no topic"):
        author.store.find("a", stamp=1)

    author.store.close()


def keep_all(topic: str) -> Policy:
    return Policy()


def life_of(path: Path, **options: Any) -> Life:
    """Where the next life of a store begins."""
    store = DiskStore(path, **options)
    life = store.open()
    store.close()
    return life


def leave(store: DiskStore, closed: bool) -> None:
    """Close it, or let go of it as a process does that is killed."""
    if closed:
        store.close()
    else:
        store._reader.close()
        store._writer.connection.close()  # without a checkpoint
        store._place.release()
