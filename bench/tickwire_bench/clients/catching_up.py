"""A reader that is far behind: from the earliest message of a topic to the newest, again and again until time is up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import uvloop

from tickwire_client import Client, connect


async def main(url: str, topic: str, messages: int, seconds: float) -> None:
    """Say "ready", wait for SIGUSR1, then catch up as often as it goes; the last time is finished."""
    # The load tool that measures the live readers has the same core: it must not wait for this.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    go = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, go.set)
    async with connect(url, compress=False) as client:
        print("ready", flush=True)
        await go.wait()
        start, took = time.perf_counter(), []
        while time.perf_counter() < start + seconds:
            took.append(await catch_up(client, topic, messages))
    print(json.dumps({"catch_ups": len(took), "messages_per_s": messages * len(took) / sum(took)}), flush=True)


async def catch_up(client: Client, topic: str, messages: int) -> float:
    """Read so many from the earliest on, see that none is missing, and give the seconds that it took."""
    start = time.perf_counter()
    begun = expected = None
    async with client.subscribe(topic, since="earliest") as history:
        async for batch in history.batches():
            first, last = batch[0].offset, batch[-1].offset
            begun = first if begun is None else begun
            if expected not in (None, first) or last - first != len(batch) - 1:
                sys.exit(f"{topic}: expected offset {expected}, got {first} to {last} in {len(batch)} messages")
            expected = last + 1
            if expected - begun >= messages:
                break
    return time.perf_counter() - start


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
