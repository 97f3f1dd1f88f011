"""The SDK as a reader: takes batches, decodes every message, checks the order, and says how far it is."""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from tickwire_bench.clients.stretch import Stretch
from tickwire_client import connect

TOPIC, CREDIT_TOPIC = "bench.0", "credit.bench"
CREDIT = 1_024  # messages between two words to the load tool, which keeps so many in flight and no more
WARMUP_S = 0.5


async def read(url: str, seconds: float) -> None:
    count = credited = counted_from = 0
    ready, stretch = 0.0, None
    async with connect(url, compress=False, reconnect=False) as client, client.subscribe(TOPIC) as messages:
        print("ready", flush=True)
        async for batch in messages.batches():
            # Each message is decoded and its number taken out; the comparison runs in C.
            numbers = [data["n"] for data in batch.data]
            if numbers != list(range(count, count + len(numbers))):
                sys.exit(f"expected messages {count} and up, got {numbers[0]} to {numbers[-1]}")
            count += len(numbers)
            if count - credited >= CREDIT:
                credited = count
                client.publish_nowait(CREDIT_TOPIC, count)
            now = time.monotonic()
            if stretch is not None:
                if now >= stretch.start + seconds:
                    stretch.report(count - counted_from)
                    return
            elif not ready:
                ready = now + WARMUP_S
            elif now >= ready:
                stretch, counted_from = Stretch(), count


if __name__ == "__main__":
    uvloop.run(asyncio.wait_for(read(sys.argv[1], float(sys.argv[2])), 60))
