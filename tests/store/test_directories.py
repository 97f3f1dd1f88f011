from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tickwire.store.disk import DiskStore, StoreError, check

from .made import Author

HOLDER = """
import sys, time
from tickwire.store.disk import DiskStore
store = DiskStore(sys.argv[1])
store.open()
print("open", flush=True)
time.sleep(60)
"""


def refused(path: Path) -> StoreError:
    with pytest.raises(StoreError) as info:
        DiskStore(path).open()
    return info.value


def stored(path: Path) -> bytes:
    """A store with something in it; what its database holds."""
    author = Author(DiskStore(path))
    author.commit(("a", 3))
    author.store.close()
    return (path / "tickwire.db").read_bytes()


def test_a_directory_that_is_missing_is_made_for_the_broker_alone(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "far" / "away")

    store.open()

    assert (tmp_path / "far" / "away").stat().st_mode & 0o777 == 0o700
    store.close()


def test_the_files_in_a_directory_that_others_may_read_are_for_the_broker_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.name != "lock"}

    assert {"tickwire.db", "tickwire.db-wal", "tickwire.db-shm", "journal", "acknowledged"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    author.store.close()


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    error, below = refused(tmp_path / "file"), refused(tmp_path / "file" / "data")

    assert error.code == below.code == "store_not_a_directory"
    assert str(error) == f"{tmp_path}/file is not a directory: name another path"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_that_cannot_be_written_is_refused(read_only: Path) -> None:
    error, below = refused(read_only), refused(read_only / "data")

    assert error.code == below.code == "store_read_only"
    assert "give it to the user that runs this" in str(error)
    assert list(read_only.iterdir()) == []


def test_a_second_broker_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"open\n"

    error = refused(tmp_path)
    with pytest.raises(StoreError) as checked:
        check(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    store = DiskStore(tmp_path)
    store.open()

    assert error.code == checked.value.code == "store_locked"
    assert f"{tmp_path} is in use by process {holder.pid}" in str(error)
    store.close()


def test_a_second_store_of_the_same_process_is_refused(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.open()

    assert f"process {os.getpid()}" in str(refused(tmp_path))

    store.close()


def test_a_store_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    stored(tmp_path)
    with apsw.Connection(str(tmp_path / "tickwire.db")) as connection:
        connection.pragma("user_version", 3)
    connection.close()
    before = (tmp_path / "tickwire.db").read_bytes()

    error = refused(tmp_path)

    assert error.code == "store_newer"
    assert "has format 3, and this version of Tickwire knows formats up to 2: use a newer one" in str(error)
    assert (tmp_path / "tickwire.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"x", b"mine, not yours\n" * 1_000, b"SQLite format 3"])
def test_what_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tickwire.db").write_bytes(content)

    error = refused(tmp_path)

    assert error.code in ("store_foreign", "store_truncated")
    assert (tmp_path / "tickwire.db").read_bytes() == content


def test_the_database_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "tickwire.db")
    connection.execute("CREATE TABLE sections(theirs)")
    connection.commit()
    connection.close()
    before = (tmp_path / "tickwire.db").read_bytes()

    error = refused(tmp_path)

    assert (error.code, "is not a database of Tickwire" in str(error)) == ("store_foreign", True)
    assert (tmp_path / "tickwire.db").read_bytes() == before


def test_an_sqlite_that_can_lose_commits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")

    error = refused(tmp_path / "data")

    assert error.code == "sqlite_too_old"
    assert "3.51.3 or later is needed (pip install -U apsw)" in str(error)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["tickwire.db", "acknowledged"])
def test_a_store_without_one_of_its_files_is_refused(tmp_path: Path, name: str) -> None:
    stored(tmp_path)
    (tmp_path / name).unlink()

    error = refused(tmp_path)

    assert error.code == "store_damaged"
    assert "put a copy of the whole directory back" in str(error)


def test_the_store_of_another_directory_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    stored(tmp_path / "one")
    database = stored(tmp_path / "two")
    (tmp_path / "one" / "tickwire.db").write_bytes(database)

    error = refused(tmp_path / "one")

    assert (error.code, "another epoch" in str(error)) == ("store_damaged", True)


def test_a_check_of_what_is_no_store_says_so(tmp_path: Path) -> None:
    codes = []
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(StoreError) as info:
            check(path)
        codes.append(info.value.code)

    assert codes == ["store_missing", "store_missing"]
    assert not (tmp_path / "nothing").exists()
