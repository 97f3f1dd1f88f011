"""The client for scripts, against a broker in another process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from house.process import broker_process
from tickwire_client import BufferFull, ConnectionLost, Gap, Message, Receipt, Refused
from tickwire_client.sync import connect

INTERRUPTED = """
import sys
from tickwire_client.sync import connect

try:
    with connect(sys.argv[1]) as client:
        subscription = client.subscribe("t")
        print("waiting", flush=True)
        for message in subscription:
            pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with broker_process() as broker:
        yield broker.url


async def test_the_same_verbs(url: str) -> None:
    def script() -> None:
        with connect(url) as client, client.subscribe("t.>") as subscription:
            receipt = client.publish("t.a", 0)
            for at in range(1, 1_000):
                client.publish_nowait("t.a", at)
            with client.batch() as batch:
                batch.add("t.a", 1_000)
                batch.add("t.b", payload=b"bytes")
            client.flush()

            values: list[object] = []
            for message in subscription:
                values.append(message.data)
                if len(values) == 500:
                    break
            for messages in subscription.batches():
                values += [message.data for message in messages]
                if len(values) == 1_002:
                    break

            assert values == [*range(1_001), b"bytes"]
            assert batch.receipts == [Receipt("t.a", receipt.epoch, 1_000), Receipt("t.b", receipt.epoch, 0)]
            with pytest.raises(Refused, match="empty segment"):
                client.publish_nowait("t..a", 1)
            assert client.state == "connected"
        with pytest.raises(ConnectionLost, match="closed"):
            client.publish("t", 1)

    await asyncio.to_thread(script)


async def test_publish_nowait_has_a_bound(url: str) -> None:
    def script() -> None:
        with connect(url) as client:
            full = False
            for _ in range(100_000):
                try:
                    client.publish_nowait("t", payload=bytes(100_000))
                except BufferFull:
                    full = True
                    break
            assert full
            client.flush()
            client.publish_nowait("t", 1)

    await asyncio.to_thread(script)


async def test_gaps_are_told_in_the_scripts_thread_before_what_follows(url: str) -> None:
    def script() -> None:
        told: list[object] = []

        def on_gap(gap: Gap) -> None:
            told.append((threading.get_ident(), gap.reason))

        with connect(url) as client:
            subscription = client.subscribe("t", on_full="drop", max_buffered=1, on_gap=on_gap)
            first = client.publish("t", 0)
            for at in range(1, 50):
                client.publish("t", at)
            for message in subscription:
                told.append(message.offset)
                assert isinstance(message, Message)
                if message.offset > first.offset:
                    break
                client.publish("t", 50)

        assert told == [0, (threading.get_ident(), "dropped"), 50]

    await asyncio.to_thread(script)


async def test_a_broker_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(ConnectionLost, match="tickwire serve --port 1"):
        await asyncio.to_thread(connect, "ws://127.0.0.1:1")


async def test_an_interruption_goes_through_a_waiting_script(url: str) -> None:
    script = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert script.stdout is not None
    assert await asyncio.wait_for(script.stdout.readline(), 20) == b"waiting\n"

    os.kill(script.pid, signal.SIGINT)
    output, errors = await asyncio.wait_for(script.communicate(), 20)

    assert (output, errors, script.returncode) == (b"interrupted\n", b"", 0)
