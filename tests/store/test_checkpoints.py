"""Pages go home beside the commits: nothing is lost on the way, and the WAL keeps to its space."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickwire.core.store import StoreFailed
from tickwire.store.disk import DiskStore, check
from tickwire.store.disk.place import DATABASE, WAL, WAL_BYTES

from .made import Author, read_all

MB = 1_000_000


def commit_many(author: Author) -> None:
    for _ in range(100):
        author.commit(("a", 10), size=MB // 20)


def test_the_log_begins_anew_again_and_again_while_commits_go_on(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))

    for _ in range(200):
        author.commit(("a", 10), ("b", 1), size=MB // 20)

    assert (tmp_path / WAL).stat().st_size < WAL_BYTES + 2 * MB
    assert (tmp_path / DATABASE).stat().st_size > 60 * MB
    assert len(read_all(author.store, "a", 2_000, budget=MB).messages) == 2_000
    author.store.close()
    assert check(tmp_path).sound


def test_a_reader_that_stays_in_the_log_does_not_stop_commits(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 1))
    author.store.settle()
    reader = author.store._reader  # type: ignore[attr-defined]
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM sections").get == 1

    commit_many(author)
    reader.execute("COMMIT")
    commit_many(author)

    assert len(read_all(author.store, "a", 2_001, budget=MB).messages) == 2_001
    assert (tmp_path / WAL).stat().st_size < 100 * MB
    author.store.close()
    assert check(tmp_path).sound


def test_an_error_beside_the_commits_ends_them(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.store._writer._beside._connection.close()  # type: ignore[attr-defined]

    with pytest.raises(StoreFailed):
        commit_many(author)
    with pytest.raises(StoreFailed):
        author.commit(("a", 1))

    end = author.ends["a"]
    assert len(read_all(author.store, "a", end, budget=MB).messages) == end
    author.store.close()
