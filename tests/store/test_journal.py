"""Commits are durable in the journal first. Nothing in it is lost, and what is left of others is not taken for it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from random import Random

import apsw
import pytest

from house.fake_disk import JOURNAL_BYTES, SECTOR, FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import GroupCursor, StoreFailed, StoreFull
from tickwire.store.disk import DiskStore, check
from tickwire.store.disk.journal import LARGEST, Journal, entries_after
from tickwire.store.disk.place import DATABASE, JOURNAL, WAL, _write_blocks

from .conftest import Mount
from .made import Author, read_all, time_of


def settled(author: Author) -> None:
    author.store.settle()
    assert len(author.store._ahead) == 0


def commit_for_ever(author: Author) -> None:
    for number in itertools.count(1):
        author.commit(("a", 10), size=3_000)
        if number % 64 == 0:
            author.store.settle()


def test_what_was_committed_is_there_though_nothing_of_it_reached_the_database() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(3):
        author.commit(("a", 2), ("b", 1))
    assert len(author.store._ahead) == 3
    disk.kill()
    disk.truncate(WAL, 0)

    store = disk.store()
    life = store.open()

    assert {topic.name: topic.end for topic in life.topics} == {"a": 6, "b": 3}
    assert sorted(read_all(store, "a", 6).messages) == list(range(6))


def test_readers_find_what_the_database_has_not_yet() -> None:
    author = Author(FakeDisk.formatted().store())
    author.commit(("a", 3))
    author.commit(("a", 3))
    settled(author)
    stamps = [author.stamp - 1, author.stamp]
    for _ in range(2):
        author.commit(("a", 3))
        stamps.append(author.stamp)

    for cursor in range(12):
        for budget in (1, 40, 4096):
            story = read_all(author.store, "a", 12, cursor, budget)
            assert (sorted(story.messages), story.gaps) == (list(range(cursor, 12)), [])
    assert [author.store.find("a", stamp=stamp) for stamp in stamps] == [3, 6, 9, 12]
    assert [author.store.find("a", time_us=time_of(stamp)) for stamp in stamps] == [0, 3, 6, 9]


def test_retention_first_brings_home_what_it_counts() -> None:
    author = Author(FakeDisk.formatted().store())
    for _ in range(4):
        author.commit(("a", 5))

    (dropped,) = author.store.retain(lambda topic: Policy(messages=7), 0)

    assert dropped.start == 10
    assert read_all(author.store, "a", 20).gaps == [(0, 10, "evicted")]


def test_a_topic_that_is_freed_and_comes_back_in_the_same_journal_keeps_its_consumers() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 2), groups=[("g", ">")], cursors=[GroupCursor("g", "a", 2, [])])
    author.store.retain(lambda topic: Policy(seconds=1), time_of(author.stamp) + 10_000_000)
    author.commit(freed=["a"], floor=50)
    author.ends["a"] = 50
    author.commit(("a", 1), cursors=[GroupCursor("g", "a", 51, [])], floor=50)
    assert len(author.store._ahead) == 2
    disk.kill()

    life = disk.store().open()

    assert [(topic.name, topic.start, topic.end) for topic in life.topics] == [("a", 50, 51)]
    assert [cursor.cursor for group in life.groups for cursor in group.cursors] == [51]


def test_the_halves_are_filled_again_and_again_and_each_cut_of_the_power_finds_all() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    chance = Random(5)
    places = set()
    for number in range(1, 120):
        author.commit(("a", 1), size=300)
        if number % 5 == 0:
            author.store.settle()
        places.add(author.store._journal._half)  # type: ignore[attr-defined]
        after = disk.clone()
        after.power_cut(chance)
        assert {topic.name: topic.end for topic in after.store().open().topics} == {"a": number}

    assert places == {0, 1}
    assert disk.size(JOURNAL) == JOURNAL_BYTES


def test_on_a_real_disk_the_journal_keeps_to_its_size_while_others_sync(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    size = (tmp_path / JOURNAL).stat().st_size

    for number in range(1, 2_600):  # each takes a block of 4 KiB, and a half has a thousand
        author.commit(("a", 1))
        if number % 64 == 0:
            author.store.settle()

    assert author.store._journal.home > 1_000  # type: ignore[attr-defined]
    assert (tmp_path / JOURNAL).stat().st_size == size
    assert len(read_all(author.store, "a", 2_599, budget=1 << 16).messages) == 2_599
    author.store.close()
    assert check(tmp_path).sound


def commit_many(author: Author) -> None:
    for _ in range(10_000):
        author.commit(("a", 1))


def test_an_error_of_the_sync_beside_ends_the_commits(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    place = author.store._place  # type: ignore[attr-defined]
    author.commit(("a", 1))
    os.close(place._open[WAL])
    author.store._writer.sync_beside(1)  # type: ignore[attr-defined]

    with pytest.raises(StoreFailed, match="the disk failed"):
        commit_many(author)

    place._open.pop(WAL)
    author.store.close()


def test_a_large_commit_goes_to_the_database_with_all_that_was_ahead_of_it(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 1))

    author.commit(("a", 10), size=LARGEST // 5)

    assert len(author.store._ahead) == 0
    assert len(read_all(author.store, "a", 11).messages) == 11
    author.store.close()


def test_a_directory_without_room_for_a_journal_commits_to_the_database() -> None:
    disk = FakeDisk.formatted()
    disk.make_journal = lambda: 0  # type: ignore[method-assign]
    author = Author(disk.store())

    author.commit(("a", 1))

    assert len(author.store._ahead) == 0
    disk.kill()
    assert {topic.name: topic.end for topic in disk.store().open().topics} == {"a": 1}


def test_what_older_lives_left_behind_the_newest_is_not_read() -> None:
    disk = FakeDisk.formatted()
    ends = {}
    for commits in (9, 2, 1):
        author = Author(disk.store())
        for _ in range(commits):
            author.commit(("a", 1))
        ends = author.ends
        disk.kill()

    found = entries_after(disk, author.life.epoch, 9 + 2)

    assert [entry.serial for entry in found] == [12]
    assert entries_after(disk, author.life.epoch + 1, 11) == []
    assert {topic.name: topic.end for topic in disk.store().open().topics} == ends


def test_entries_of_two_lives_do_not_follow_each_other() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(4):
        author.commit(("a", 1))
    other = Journal(disk, author.life.epoch, life=99, home=1)
    entry = entries_after(disk, author.life.epoch, 1)[0]

    other.append(entry)  # over the first of them, and as long: now those of the other life stand behind it

    assert [each.serial for each in entries_after(disk, author.life.epoch, 1)] == [2]


def test_any_bit_that_is_flipped_in_an_entry_ends_the_journal_before_it() -> None:
    original = FakeDisk.formatted()
    author = Author(original.store())
    for _ in range(3):
        author.commit(("a", 1))
    second = bytes(original.files[JOURNAL].content[SECTOR : 2 * SECTOR]).rstrip(b"\0")

    assert len(second) > 100
    for bit in range(8 * len(second)):
        disk = original.clone()
        disk.flip(JOURNAL, 8 * SECTOR + bit)
        assert [entry.serial for entry in entries_after(disk, author.life.epoch, 0)] == [1]


def test_a_disk_that_refuses_unaligned_direct_writes_is_written_through_the_cache(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(bytes(100))
    file = os.open(tmp_path / JOURNAL, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)

    wrote = _write_blocks(file, memoryview(b"seven!!"), 1)  # no file system takes this past its cache

    assert wrote == 7
    assert (tmp_path / JOURNAL).read_bytes()[:9] == b"\0seven!!\0"
    os.close(file)


def test_a_check_reads_the_journal_and_changes_nothing() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 3))
    settled(author)
    author.commit(("a", 2), ("b", 1))
    disk.kill()
    before = {name: bytes(file.content) for name, file in disk.files.items()}

    report = check(disk)

    assert (report.findings, report.messages, report.topics) == ([], 6, 2)
    assert {name: bytes(file.content) for name, file in disk.files.items()} == before


def test_a_store_of_the_format_before_there_was_a_journal_is_taken_over(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))
    author.store.close()
    (tmp_path / JOURNAL).unlink()
    with apsw.Connection(str(tmp_path / DATABASE)) as connection:
        connection.pragma("user_version", 1)
    connection.close()

    again = Author(DiskStore(tmp_path))
    again.commit(("a", 1))

    assert len(read_all(again.store, "a", 4).messages) == 4
    assert again.store._writer.connection.pragma("user_version") == 2  # type: ignore[attr-defined]
    again.store.close()


if os.geteuid() == 0:

    def test_commits_that_fit_the_journal_are_refused_when_they_cannot_go_home(mount: Mount) -> None:
        author = Author(DiskStore(mount("112m")))

        with pytest.raises(StoreFull):
            commit_for_ever(author)

        end = author.ends["a"]
        story = read_all(author.store, "a", end, budget=1 << 20)
        assert (len(story.messages), story.gaps) == (end, [])
        author.store.close()
