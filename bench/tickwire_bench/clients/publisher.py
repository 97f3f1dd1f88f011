"""The SDK as a publisher: sends without acknowledgments, encoding each message."""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from tickwire_bench.clients.reader import CREDIT_TOPIC, TOPIC
from tickwire_bench.clients.stretch import Stretch
from tickwire_client import BufferFull, Client, connect

CHUNK = 1_024  # messages between two turns of the loop, as from a feed that is read in pieces
PADDING = b"x" * 41  # makes a message 64 bytes long


async def publish(url: str, count: int) -> None:
    """So many messages, until all have acted; then the figures."""
    async with connect(url, compress=False, reconnect=False) as client:
        await client.flush()
        stretch = Stretch()
        for first in range(0, count, CHUNK):
            await _send(client, first, min(CHUNK, count - first))
            await asyncio.sleep(0)
        await client.flush()
        stretch.report(count)


async def keep_in_flight(url: str, in_flight: int) -> None:
    """Without an end, as far ahead of the reader as it is told and no further."""
    had, heard = 0, asyncio.Event()

    async def listen(client: Client) -> None:
        nonlocal had
        async with client.subscribe(CREDIT_TOPIC) as credits:
            subscribed.set()
            async for credit in credits:
                had = credit.data
                heard.set()

    subscribed = asyncio.Event()
    async with connect(url, compress=False, reconnect=False) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(listen(client))
        await subscribed.wait()
        sent = 0
        while True:
            while sent - had < in_flight:
                await _send(client, sent, CHUNK)
                sent += CHUNK
                await asyncio.sleep(0)
            heard.clear()
            if sent - had >= in_flight:
                await heard.wait()


async def _send(client: Client, first: int, count: int) -> None:
    stamp = time.monotonic_ns()
    for number in range(first, first + count):
        message = {"t": stamp, "n": number, "x": PADDING}
        try:
            client.publish_nowait(TOPIC, message)
        except BufferFull:
            await client.flush()
            client.publish_nowait(TOPIC, message)


def main(url: str, count: int, in_flight: int = 0) -> None:
    if count:
        uvloop.run(asyncio.wait_for(publish(url, count), 60))
    else:
        uvloop.run(keep_in_flight(url, in_flight))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
