"""The README's producer and consumer run as they stand there, against a broker on the default port."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from aiohttp import web

from docs.pages import ROOT, blocks, marked, run
from house.process import broker_process
from tickwire_client import connect

README = ROOT / "README.md"
PORT = 8765


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A broker where the README says that there is one. Whoever uses the port already is not to be disturbed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            pytest.skip(f"port {PORT} is in use: stop what uses it, and this runs")
    async with broker_process(port=PORT) as broker:
        yield broker.url


async def test_the_producer_and_the_consumer_run_as_they_stand(url: str) -> None:
    async with asyncio.timeout(30), program(marked(README, "consumer")) as consumer:
        await subscribed(url)
        async with program(marked(README, "producer")) as producer:
            said, complaint = await producer.communicate()
        read = [await consumer.stdout.readline() for _ in range(3)] if consumer.stdout is not None else []

    assert (producer.returncode, complaint) == (0, b"")
    assert said.decode().splitlines() == [f"prices.AAPL has it at offset {offset}" for offset in range(3)]
    assert b"".join(read).decode() == "prices.AAPL 0 187.2\nprices.AAPL 1 187.3\nprices.AAPL 2 187.1\n"


def test_both_are_about_ten_lines() -> None:
    for mark in ("consumer", "producer"):
        assert len([line for line in marked(README, mark).splitlines() if line]) <= 10


async def test_mounting_is_as_short_as_it_says() -> None:
    (block,) = (block for block in blocks(README) if "mount" in block.source)
    names: dict[str, object] = {}
    await run(block, README, names)

    app = names["app"]
    assert isinstance(app, web.Application)
    assert [resource.canonical for resource in app.router.resources()] == ["/ws"]


async def test_the_lines_for_the_shell_do_what_it_says(url: str) -> None:
    lines = re.findall(r"^    (tickwire (?:sub|pub) .+|echo .+)$", section("From the shell"), re.MULTILINE)
    assert len(lines) == 3
    async with asyncio.timeout(30):
        reader = await shell(lines[0])
        await subscribed(url)
        for line in lines[1:]:
            publisher = await shell(line)
            await publisher.communicate()
            assert publisher.returncode == 0
        out, _ = await reader.communicate()

    assert reader.returncode == 0
    assert re.findall(r'"topic":"(\S+?)"', out.decode()) == ["prices.AAPL", "prices.MSFT"]
    assert re.findall(r'"(\w+)":', out.decode().splitlines()[0]) == ["topic", "offset", "time", "data", "bid"]


async def test_the_lines_for_history_read_what_a_broker_has_kept_through_a_restart(tmp_path: Path) -> None:
    serve, *lines = re.findall(r"^    (tickwire .+)$", section("History"), re.MULTILINE)
    assert re.fullmatch(r"tickwire serve --data \S+", serve)
    kept = {"trades.>": "trades.AAPL", "prices.*": "prices.AAPL"}
    async with broker_process("--data", str(tmp_path), port=PORT) as broker, connect(broker.url) as client:
        for topic in kept.values():
            await client.publish(topic, 1)

    async with asyncio.timeout(30), broker_process("--data", str(tmp_path), port=PORT):
        read = [(await (await shell(f"{line} --count 1")).communicate())[0] for line in lines]

    assert [re.findall(r'"topic":"(\S+?)"', out.decode()) for out in read] == [[topic] for topic in kept.values()]


def section(title: str) -> str:
    return README.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


async def shell(line: str) -> Process:
    """A line of the README, with the `tickwire` of this Python."""
    function = f'tickwire() {{ "{sys.executable}" -m tickwire.server.cli "$@"; }}\n'
    return await asyncio.create_subprocess_exec("sh", "-c", function + line, stdout=PIPE, stderr=PIPE)


@contextlib.asynccontextmanager
async def program(source: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", "-c", source, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def subscribed(url: str) -> None:
    """Wait until the broker's metrics know of a subscription; it tells nobody by itself."""
    await asyncio.to_thread(_wait_for_metric, f"http://{urlsplit(url).netloc}/metrics", "\ntickwire_patterns 1.0\n")


def _wait_for_metric(address: str, line: str) -> None:
    deadline = time.monotonic() + 15
    while line not in urlopen(address, timeout=5).read().decode():
        assert time.monotonic() < deadline, f"no {line.strip()!r} came"
        time.sleep(0.05)
