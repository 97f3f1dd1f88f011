"""Commits that a thread of the C library's writes: the same is on the disk, and what goes wrong is told."""

from __future__ import annotations

import os
import queue
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tickwire.core.store import Batch, StoreFailed
from tickwire.store.disk import DiskStore, check, native_writer
from tickwire.store.disk.acknowledged import decode_acknowledged
from tickwire.store.disk.journal import LARGEST
from tickwire.store.disk.place import ACKNOWLEDGED, JOURNAL, Directory

from .made import Author, batch, read_all


def begun(author: Author, messages: int = 1, size: int = 0) -> bool:
    """Begin the next commit of topic `a`, after whatever was committed."""
    author.stamp += 1
    return author.store.begin(batch(author.stamp, ("a", author.ends.get("a", 0), messages), size=size))


def ended(author: Author, messages: int = 1) -> None:
    """Wait for its end, as the loop does."""
    assert author.store.ended is not None
    assert select.select([author.store.ended], [], [], 10)[0]
    assert author.store.finish()
    author.ends["a"] = author.ends.get("a", 0) + messages


def author_of(directory: Path) -> Author:
    """One who has committed once: before that nothing can be begun."""
    author = Author(DiskStore(directory))
    author.commit(("a", 1))
    return author


def test_what_was_begun_and_has_ended_is_there_after_a_restart(tmp_path: Path) -> None:
    author = author_of(tmp_path)
    for messages in range(1, 200):
        assert begun(author, messages, size=40)
        ended(author, messages)
        if author.store.unsettled:
            author.store.settle()
    assert len(read_all(author.store, "a", author.ends["a"]).messages) == author.ends["a"]
    acknowledged = decode_acknowledged((tmp_path / ACKNOWLEDGED).read_bytes())
    author.store.close()

    again = DiskStore(tmp_path)
    life = again.open()

    assert acknowledged == (life.epoch, 200)
    assert {topic.name: topic.end for topic in life.topics} == author.ends
    assert len(read_all(again, "a", author.ends["a"]).messages) == author.ends["a"]
    again.close()


def test_it_is_in_the_journal_before_anybody_hears_of_it(tmp_path: Path) -> None:
    author = author_of(tmp_path)
    before = (tmp_path / JOURNAL).read_bytes()

    assert begun(author)
    assert author.store.ended is not None
    select.select([author.store.ended], [], [], 10)

    assert (tmp_path / JOURNAL).read_bytes() != before
    assert author.store.finish()
    assert not author.store._place.wrote_beside()  # type: ignore[attr-defined]
    author.store.close()


@pytest.mark.parametrize("file", [JOURNAL, ACKNOWLEDGED])
def test_an_error_of_the_disk_is_told_and_nothing_is_stored_after_it(tmp_path: Path, file: str) -> None:
    author = author_of(tmp_path)
    place = author.store._place  # type: ignore[attr-defined]
    assert begun(author)
    ended(author)
    read_only = os.open(tmp_path / file, os.O_RDONLY)
    os.dup2(read_only, place._open[file])  # the thread's writes fail from now on
    os.close(read_only)

    assert begun(author)
    assert author.store.ended is not None
    assert select.select([author.store.ended], [], [], 10)[0]
    with pytest.raises(StoreFailed, match="the disk failed"):
        author.store.finish()

    with pytest.raises(StoreFailed):
        begun(author)
    with pytest.raises(StoreFailed):
        author.store.commit(Batch(author.stamp + 1, 0))
    assert len(read_all(author.store, "a", 2).messages) == 2
    author.store.close()


def test_what_is_too_large_for_the_journal_or_would_be_too_far_ahead_is_for_a_commit(tmp_path: Path) -> None:
    author = author_of(tmp_path)

    assert not begun(author, 10, size=LARGEST // 5)
    for _ in range(255):
        assert begun(author)
        ended(author)
    assert not begun(author)
    author.commit(("a", 1))
    assert begun(author)
    ended(author)
    author.store.close()


def test_without_the_library_every_commit_is_for_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_writer, "native", None)
    author = author_of(tmp_path)

    assert not begun(author)
    author.commit(("a", 1))
    author.store.close()


def test_the_first_commit_is_for_the_writer(tmp_path: Path) -> None:
    """It finds out whether the file system takes writes past the page cache."""
    author = Author(DiskStore(tmp_path))

    assert not begun(author)
    author.store.close()


def test_commits_go_on_while_others_are_brought_home_and_read(tmp_path: Path) -> None:
    """One thread begins and finishes, one settles, one reads: as a broker has them."""
    author = author_of(tmp_path)
    store, over = author.store, threading.Event()
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def settle() -> int:
        times = 0
        while not over.is_set():
            if asked.get():
                store.settle(alone=False)
                times += 1
        return times

    def read() -> int:
        times = 0
        while not over.is_set():
            end = store._state.topics["a"].end  # type: ignore[attr-defined]
            assert len(read_all(store, "a", end, cursor=max(0, end - 400)).messages) >= min(end, 400)
            times += 1
        return times

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(settle), pool.submit(read)]
        try:
            for number in range(3_000):
                if begun(author, 2, size=100):
                    ended(author, 2)
                    if store.unsettled and number % 8 == 0:
                        asked.put(True)
        finally:
            over.set()
            asked.put(False)
        times = [job.result() for job in jobs]
    assert min(times) > 10
    home = store._journal.home  # type: ignore[attr-defined]
    assert home > 500, "the journal never began anew, so nothing was seen of that"
    store._place.release()  # type: ignore[attr-defined]  # as a process that is killed does

    again = DiskStore(tmp_path)
    assert {topic.name: topic.end for topic in again.open().topics} == author.ends
    assert len(read_all(again, "a", author.ends["a"]).messages) == author.ends["a"]
    again.close()
    assert check(Directory(tmp_path)).sound
