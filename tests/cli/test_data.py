"""`tickwire serve --data` and `tickwire check-data`: a directory, and what may be wrong with it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from .shell import broker, tickwire


def published(data: Path, count: int = 10) -> None:
    """A directory with so many messages of one topic, its broker stopped."""
    with broker(0, "--data", str(data)) as (serve, url):
        lines = "".join(f'{{"n":{n}}}\n' for n in range(count))
        assert tickwire("pub", "a.b", "-", "--url", url, stdin=lines).code == 0
        assert serve.end() == 0


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "read only"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tickwire", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_what_is_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with broker(0, "--data", str(tmp_path / "new" / "data")) as (serve, url):
        assert tickwire("pub", "a", '{"n":1}', "--url", url).code == 0
        serve.end(signal.SIGKILL)

    with broker(0, "--data", str(tmp_path / "new" / "data")) as (serve, url):
        ended = tickwire("sub", "a", "--since", "@0", "--until-now", "--url", url)
        assert "ack=disk" in serve.err_until("listening")

    assert [json.loads(line)["data"] for line in ended.out.splitlines()] == [{"n": 1}]


def test_a_sound_directory_is_told_to_be(tmp_path: Path) -> None:
    published(tmp_path / "data")

    ended = tickwire("check-data", str(tmp_path / "data"))

    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r".*/data is sound: 10 messages in \d+ sections? of 1 topic, 0\.\d kB\n", ended.out)


def test_a_flipped_bit_is_found_and_served_as_a_gap(tmp_path: Path) -> None:
    data = tmp_path / "data"
    published(data)
    connection = apsw.Connection(str(data / "tickwire.db"))
    connection.execute("UPDATE sections SET data = CAST(replace(data, x'03', x'02') AS BLOB)")
    connection.close()

    ended = tickwire("check-data", str(data))
    with broker(0, "--data", str(data)) as (serve, url):
        read = tickwire("sub", "a.b", "--until-now", "--url", url)
        told = serve.err_until("damaged on disk")

    assert ended.code == 1
    assert ended.out.startswith("a.b [0, 10): ")
    assert "topic=a.b first=0 end=10" in told
    assert " is damaged: " in ended.out.splitlines()[-1]
    assert (read.code, read.out) == (0, "")
    assert read.err == "tickwire: gap: 10 messages of a.b are missing, offsets 0 to 9 (corrupt)\n"


@pytest.mark.parametrize("command", [("serve", "--port", "0", "--data"), ("check-data",)])
def test_a_directory_in_use_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    with broker(0, "--data", str(tmp_path / "data")) as (serve, _):
        ended = tickwire(*command, str(tmp_path / "data"))
        pid = serve.process.pid

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"tickwire: {tmp_path}/data is in use by process {pid}: stop that one, or name another directory\n"
    )


@pytest.mark.parametrize("command", [("serve", "--port", "0", "--data"), ("check-data",)])
def test_a_file_is_no_directory(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "data").write_text("mine")

    ended = tickwire(*command, str(tmp_path / "data"))

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"tickwire: {tmp_path}/data is not a directory: ")
    assert (tmp_path / "data").read_text() == "mine"


def test_a_directory_that_cannot_be_written_is_refused(read_only: Path) -> None:
    for data in (read_only, read_only / "data"):
        ended = tickwire("serve", "--port", "0", "--data", str(data))

        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert ended.err.startswith(f"tickwire: {data} cannot be written")


def test_nothing_is_checked_where_nothing_is(tmp_path: Path) -> None:
    ended = tickwire("check-data", str(tmp_path / "nowhere"))

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_was_cut_is_refused_and_opened_with_the_loss_accepted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    published(data)
    with (data / "tickwire.db").open("r+b") as file:
        file.truncate(5_000)

    refused = tickwire("serve", "--port", "0", "--data", str(data))
    with broker(0, "--data", str(data), "--accept-loss") as (_, url):
        taken = tickwire("pub", "a.b", "1", "--url", url)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.endswith("which begins a new epoch: --accept-loss\n")
    assert taken.code == 0


def test_an_empty_directory_is_no_store_and_stays_empty(tmp_path: Path) -> None:
    ended = tickwire("check-data", str(tmp_path))

    assert (ended.code, ended.out) == (2, "")
    assert "tickwire.db is not there" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_is_no_directory() -> None:
    ended = tickwire("serve", "--port", "0", "--data", "")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "tickwire: --data is empty, but must name a directory; without --data topics live in memory\n"
