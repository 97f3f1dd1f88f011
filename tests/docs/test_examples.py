"""Each example runs, and does what it is an example of."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from docs.pages import ROOT
from house.process import broker_process
from tickwire_client import connect

EXAMPLES = ROOT / "examples"


@contextlib.asynccontextmanager
async def example(name: str, *arguments: str) -> AsyncIterator[Process]:
    """An example as somebody starts it, and ends with Ctrl-C: without a word of complaint."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=PIPE, stderr=PIPE, preexec_fn=_takes_interrupts
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, complaint = await asyncio.wait_for(process.communicate(), 15)
        assert (process.returncode, b"Traceback" in complaint) == (0, False), complaint.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _takes_interrupts() -> None:
    # A shell that starts the tests in the background has them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 15)).decode().rstrip()


async def test_the_consumer_prints_what_the_producer_publishes() -> None:
    async with broker_process() as broker, example("consumer.py", broker.url) as consumer:
        assert await line(consumer) == "subscribed"
        async with example("producer.py", broker.url) as producer:
            assert re.fullmatch(r"published prices\.AAPL@0 prices\.MSFT@0 prices\.NVDA@0", await line(producer))
            assert re.fullmatch(r"3 new:( prices\.[A-Z]{4} \d+\.\d+){3}", await line(consumer))


async def test_the_consumer_says_in_a_sentence_that_the_broker_was_restarted() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with broker_process() as broker:
            consumer = await stack.enter_async_context(example("consumer.py", broker.url))
            assert await line(consumer) == "subscribed"
        async with broker_process(port=urlsplit(broker.url).port or 0):
            assert await missed(consumer) == "perhaps missed messages of prices.*, how many is not known (epoch)"


async def missed(process: Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for told in process.stderr:
            if b"missed" in told:
                return told.decode().rstrip()
    raise AssertionError("it ended without telling of a gap")


async def test_the_embedded_broker_serves_its_page_and_its_prices() -> None:
    async with example("embed.py", "0") as embedded:
        address = (await line(embedded)).removeprefix("open ")
        async with aiohttp.ClientSession() as http, http.get(address) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert await answer.text() == (EXAMPLES / "page.html").read_text(encoding="utf-8")

        async with connect(address.replace("http", "ws") + "ws") as client, client.subscribe("prices.*") as prices:
            async with asyncio.timeout(10):
                assert {(await anext(prices)).topic, (await anext(prices)).topic} == {"prices.A", "prices.B"}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_reads_what_the_protocol_says() -> None:
    page = (EXAMPLES / "page.html").read_text(encoding="utf-8")
    script = page.partition("<script>")[2].partition("</script>")[0]
    # A delivery of prices.A with two payloads, {"bid": 1.5} and {"bid": 300}; then a gap of [0, 3).
    payloads = "92 c40e81a3626964cb3ff8000000000000 c40881a3626964cd012c"
    delivery = "93 15 00 91 95 a87072696365732e41 00 01 cf0006424242424242" + payloads
    gap = "96 16 00 a87072696365732e41 00 03 a765766963746564"
    check = """
    const told = [];
    const bytes = (hex) => new Uint8Array(hex.replace(/ /g, "").match(/../g).map((byte) => parseInt(byte, 16)));
    for (const frame of process.argv.slice(1)) {
      receive(unpack(bytes(frame)), (...shown) => told.push(shown), (...missed) => told.push(missed));
    }
    told.push(bytes(Buffer.from(new Uint8Array(SUBSCRIBE)).toString("hex")).length);
    console.log(JSON.stringify(told));
    """

    ended = subprocess.run(["node", "-e", script + check, delivery, gap], capture_output=True, text=True, timeout=20)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == '[["prices.A",{"bid":300}],["prices.A",3,"evicted"],12]'
