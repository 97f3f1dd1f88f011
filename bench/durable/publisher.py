"""The load: publishers of one server in one process, each with so many sends under way and no more."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from durable.payloads import payloads
from durable.senders import ONE_AT_A_TIME, SENDERS, Sender
from durable.workloads import BATCH
from tickwire_bench.meters import busy_seconds, cpu_seconds, flushes, percentile

DRAIN_S = 20.0  # for what is in flight when the time is over


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do, as it stands on the command line in JSON."""

    server: str
    port: int
    pid: int
    directory: str
    publishers: int
    payload: int
    batched: bool
    in_flight: int  # sends that each publisher has under way
    noise: bool  # payloads that do not pack
    seconds: float
    warmup: float


@dataclass(slots=True)
class Tally:
    """When each send began and when its acknowledgment was there."""

    messages: int  # in one send
    sends: list[tuple[float, float]] = field(default_factory=list)
    over: bool = False

    async def publish(self, send: Callable[[], Awaitable[None]]) -> None:
        """Send until it is over. What is in flight then is waited for."""
        while not self.over:
            start = time.perf_counter()
            await send()
            self.sends.append((start, time.perf_counter()))


def figures_of(sends: Sequence[tuple[float, float]], messages: int, opened: float, closed: float) -> dict[str, float]:
    """Messages a second within the window, and how long an acknowledgment took that was awaited in it.

    A send that is only partly within counts with that part of its messages: where sends are as long as the window,
    counting whole ones would be a matter of luck.
    """
    within = [(start, end) for start, end in sends if end > opened and start < closed]
    share = sum((min(end, closed) - max(start, opened)) / (end - start) for start, end in within)
    waits = [end - start for start, end in within]
    return {
        "messages_per_s": share * messages / (closed - opened),
        "ack_p50_ms": percentile(waits, 50) * 1e3,
        "ack_p99_ms": percentile(waits, 99) * 1e3,
        "acks": len(waits),
    }


async def run(asked: Asked) -> dict[str, float | None]:
    """Open all publishers, let them send, and give the figures of the measured window."""
    connections = asked.in_flight if asked.server in ONE_AT_A_TIME else 1  # of each publisher
    senders: list[Sender] = []
    for number in range(asked.publishers):
        made = payloads(asked.payload, number, asked.noise)
        senders += [await SENDERS[asked.server](asked.port, number, made) for _ in range(connections)]
    tally = Tally(BATCH if asked.batched else 1)
    sends = [sender.batch if asked.batched else sender.single for sender in senders] * (asked.in_flight // connections)
    sending = [asyncio.create_task(tally.publish(send)) for send in sends]
    window = asyncio.create_task(_window(asked, tally))
    limit = asked.warmup + asked.seconds + DRAIN_S
    done, unfinished = await asyncio.wait([window, *sending], timeout=limit, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()  # raises what went wrong
    if unfinished:
        raise TimeoutError(f"acknowledgments are missing {DRAIN_S:.0f} s after the last message")
    opened, closed, used = window.result()
    for sender in senders:
        await sender.close()
    acknowledged = len(tally.sends) * tally.messages
    return {**figures_of(tally.sends, tally.messages, opened, closed), **used, "acknowledged": acknowledged}


async def _window(asked: Asked, tally: Tally) -> tuple[float, float, dict[str, float | None]]:
    """When the measured time began and ended, and what disk and cores did in it."""
    await asyncio.sleep(asked.warmup)
    before, opened = _used(asked), time.perf_counter()
    await asyncio.sleep(asked.seconds)
    tally.over, closed = True, time.perf_counter()
    flushed, server, own, busy = (
        None if one is None or other is None else (other - one) / (closed - opened)
        for one, other in zip(before, _used(asked), strict=True)
    )
    others = max(0.0, (busy or 0) - (server or 0) - (own or 0))
    used = {"flushes_per_s": flushed, "server_cpu_share": server, "own_cpu_share": own, "others_cpu_share": others}
    return opened, closed, used


def _used(asked: Asked) -> tuple[float | None, ...]:
    return flushes(Path(asked.directory)), cpu_seconds(asked.pid), time.process_time(), busy_seconds()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(Asked(**json.loads(sys.argv[1]))))), flush=True)
