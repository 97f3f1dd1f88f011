"""The SDK as a publisher: sends without acknowledgments, encoding each message, until all have acted."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from tickwire_client import BufferFull, connect

TOPIC = "bench.0"
CHUNK = 512  # messages between two turns of the loop, as from a feed that is read in pieces
PADDING = b"x" * 41  # makes a message 64 bytes long


async def publish(url: str, count: int) -> None:
    async with connect(url) as client:
        await client.flush()
        start, cpu = time.monotonic(), time.process_time()
        for first in range(0, count, CHUNK):
            stamp = time.monotonic_ns()
            for number in range(first, min(first + CHUNK, count)):
                message = {"t": stamp, "n": number, "x": PADDING}
                try:
                    client.publish_nowait(TOPIC, message)
                except BufferFull:
                    await client.flush()
                    client.publish_nowait(TOPIC, message)
            await asyncio.sleep(0)
        await client.flush()
        seconds = time.monotonic() - start
        share = (time.process_time() - cpu) / seconds
    print(json.dumps({"messages_per_s": count / seconds, "seconds": seconds, "own_cpu_share": share}), flush=True)


if __name__ == "__main__":
    uvloop.run(asyncio.wait_for(publish(sys.argv[1], int(sys.argv[2])), 60))
