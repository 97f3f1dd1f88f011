from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import StoreFull
from tickwire.store.disk import DiskStore, check

from .conftest import Mount
from .made import Author, read_all, time_of


def fill(author: Author, size: int = 1_000, most: int = 10_000) -> None:
    """Commit until the disk is full."""
    with contextlib.suppress(StoreFull):
        for _ in range(most):
            author.commit(("a", 10), size=size)
        pytest.fail("the disk is not full yet")


def test_a_commit_that_finds_no_room_leaves_nothing_behind() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 1))

    disk.full_at = disk.writes
    fill(author)
    end = author.ends["a"]

    assert sorted(read_all(author.store, "a", end).messages) == list(range(end))
    disk.kill()
    disk.full_at = None
    assert {topic.name: topic.end for topic in disk.store().open().topics} == {"a": end}


def test_a_full_disk_stays_full_until_there_is_room_and_then_takes_more() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    disk.full_at = disk.writes
    fill(author)

    with pytest.raises(StoreFull):
        author.store.probe()
    disk.full_at = None
    author.store.probe()
    author.commit(("a", 1))

    assert sorted(read_all(author.store, "a", author.ends["a"]).messages) == list(range(author.ends["a"]))


def test_a_probe_that_writes_down_where_the_topics_stand_leaves_a_store_that_opens() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    while not author.store._state.wants_mark:  # type: ignore[attr-defined]
        author.commit(("a", 1))

    author.store.probe()

    disk.kill()
    assert {topic.name: topic.end for topic in disk.store().open().topics} == author.ends


if os.geteuid() == 0:  # only root can mount a small disk

    def test_retention_makes_room_on_a_full_disk_and_commits_go_on(mount: Mount) -> None:
        author = Author(DiskStore(mount("112m")))
        fill(author)
        full = author.ends["a"]

        while author.store.retain(lambda topic: Policy(messages=full // 10), time_of(author.stamp)):
            pass
        author.store.probe()
        for _ in range(full // 20):
            author.commit(("a", 10), size=1_000)

        oldest = author.store.find("a", stamp=0)
        story = read_all(author.store, "a", author.ends["a"], cursor=oldest)
        assert oldest > full // 2
        assert (sorted(story.messages), story.gaps) == (list(range(oldest, author.ends["a"])), [])
        author.store.close()

    def test_a_disk_that_others_filled_is_used_again_when_they_leave(mount: Mount) -> None:
        path = mount("160m")
        author = Author(DiskStore(path / "data"))
        author.commit(("a", 1))
        write_all(path / "theirs")
        fill(author)

        with pytest.raises(StoreFull):
            author.store.probe()
        (path / "theirs").unlink()
        author.store.probe()
        author.commit(("a", 10))

        story = read_all(author.store, "a", author.ends["a"])
        assert (len(story.messages), story.gaps) == (author.ends["a"], [])
        author.store.close()

    def test_a_store_opens_on_a_full_disk_with_all_that_was_acknowledged(mount: Mount) -> None:
        path = mount("112m")
        author = Author(DiskStore(path / "data"))
        fill(author)
        end = author.ends["a"]
        author.store.close()
        write_all(path / "theirs")

        again = Author(DiskStore(path / "data"))
        while again.store.retain(lambda topic: Policy(messages=end // 2), time_of(again.stamp)):
            pass

        story = read_all(again.store, "a", end)
        assert len(story.gaps) == 1
        assert sorted(story.messages) == list(range(story.gaps[0][1], end))
        again.store.close()
        assert check(path / "data").sound

    def test_a_store_that_was_killed_on_a_full_disk_opens_with_the_help_of_its_reserve(mount: Mount) -> None:
        path = mount("192m")
        if not (child := os.fork()):
            author = Author(DiskStore(path / "data"))
            author.commit(("a", 1))
            write_all(path / "theirs")
            fill(author, size=20_000)  # nearly each page of the WAL makes the database longer
            (path / "end").symlink_to(str(author.ends["a"]))  # the name of a link needs no room
            os._exit(0)
        os.waitpid(child, 0)
        end = int(os.readlink(path / "end"))

        again = Author(DiskStore(path / "data"))

        story = read_all(again.store, "a", end)
        assert (sorted(story.messages), story.gaps) == (list(range(end)), [])
        again.store.close()

    def write_all(path: Path) -> None:
        """Take all the room there is."""
        with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65_536)):
                pass
