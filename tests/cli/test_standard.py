"""Standard input and output as shells hand them over: closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .shell import COMMAND, SECONDS, Ended, broker, environment

needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
NO_SPACE = "tickwire: cannot write to standard output: No space left on device\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with broker() as (_, url):
        yield url


def redirected(redirection: str, *arguments: str) -> Ended:
    """Run a command to its end, as a shell starts it."""
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(),
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_ends_no_command(url: str, closed: str) -> None:
    assert redirected(closed, "pub", "t", "1", "--url", url) == Ended(0, "", "")


def test_closed_input_is_empty_input(url: str) -> None:
    assert redirected("<&-", "pub", "t", "-", "--url", url) == Ended(0, "", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_broker_with_a_closed_descriptor_outlives_its_clients(closed: str) -> None:
    with broker() as (_, other):
        port = other.rpartition(":")[2].removesuffix("/ws")
    url = f"ws://127.0.0.1:{port}"
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "serve", "--port", port]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as serve:
        try:
            for _ in range(20):
                if redirected("", "pub", "t", "1", "--url", url).code == 0:
                    break
            for _ in range(2):
                assert redirected("", "pub", "t", "1", "--url", url) == Ended(0, "", "")
            assert serve.poll() is None
            serve.terminate()
            assert serve.wait(SECONDS) == 0
        finally:
            serve.kill()


def test_input_that_cannot_be_read_is_told_in_one_sentence(url: str) -> None:
    ended = redirected("0>/dev/null", "pub", "t", "-", "--url", url)

    assert ended == Ended(1, "", "tickwire: standard input cannot be read: Bad file descriptor\n")


@needs_full_device
def test_a_full_disk_is_told_in_one_sentence(url: str) -> None:
    sub = subprocess.Popen(
        ["sh", "-c", 'exec "$@" >/dev/full', "sh", *COMMAND, "sub", "t", "--url", url],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with sub:
        try:
            assert sub.stderr is not None
            assert sub.stderr.readline() == "tickwire: subscribed to t\n"
            assert redirected("", "pub", "t", "1", "--url", url).code == 0
            assert (sub.stderr.read(), sub.wait(SECONDS)) == (NO_SPACE, 1)
        finally:
            sub.kill()


@needs_full_device
@pytest.mark.parametrize("arguments", [("--help",), ("wire", "decode", "930207a3612e2a")])
def test_a_full_disk_is_told_by_every_command(arguments: tuple[str, ...]) -> None:
    assert redirected(">/dev/full", *arguments) == Ended(1, "", NO_SPACE)


@needs_full_device
def test_a_broker_that_cannot_say_where_it_listens_does_not_blame_the_address() -> None:
    ended = redirected(">/dev/full", "serve", "--port", "0", "--log-level", "warning")

    assert ended == Ended(1, "", NO_SPACE)


def test_a_broker_whose_output_nobody_reads_says_so() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [*COMMAND, "serve", "--port", "0", "--log-level", "warning"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            env=environment(),
            check=False,
        )
    finally:
        os.close(write)

    assert (ended.returncode, ended.stderr) == (1, "tickwire: cannot write to standard output: Broken pipe\n")
