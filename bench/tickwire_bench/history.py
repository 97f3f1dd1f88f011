"""A store with much in it: messages in a few topics, published in acknowledged batches until it is large enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from tickwire_bench.meters import bytes_in
from tickwire_bench.processes import LOAD_CORE, broker, on_core
from tickwire_client import Client, connect

PATTERN, TOPIC = "history.*", "history.{}"
BATCH, IN_FLIGHT = 1_000, 4

Progress = Callable[[int], None]  # called with the size of the store in bytes


def padding() -> str:
    """What makes a message 101 bytes long as msgpack, beside a number and a time; it does not pack."""
    return token_urlsafe(60)


@dataclass(frozen=True, slots=True)
class History:
    """What is in the store: the messages of all topics, and how large it is."""

    directory: Path
    messages: int
    per_topic: int
    bytes: int
    seconds: float

    @property
    def deep(self) -> str:
        """A topic that has `per_topic` messages."""
        return TOPIC.format(0)


def make(directory: Path, size: int, per_topic: int, progress: Progress) -> History:
    """Publish until the store has `size` bytes and its first topic all its messages, then kill -9 the broker.

    `per_topic` is a multiple of a thousand.
    """
    start = time.perf_counter()
    with broker("--data", directory) as server:
        with on_core(LOAD_CORE):
            messages = asyncio.run(_publish(server.url, directory, size, per_topic, progress))
        server.kill()
    return History(directory, messages, per_topic, bytes_in(directory), time.perf_counter() - start)


async def _publish(url: str, directory: Path, size: int, per_topic: int, progress: Progress) -> int:
    async with connect(url, compress=False) as client:
        count = 0
        while count < per_topic or bytes_in(directory) < size:
            here = min(IN_FLIGHT * BATCH, per_topic - count % per_topic)
            await asyncio.gather(*[_batch(client, first, per_topic) for first in range(count, count + here, BATCH)])
            count += here
            progress(bytes_in(directory))
        return count


async def _batch(client: Client, first: int, per_topic: int) -> None:
    topic, now = TOPIC.format(first // per_topic), time.time()
    async with client.batch() as batch:
        for number in range(first, first + BATCH):
            batch.add(topic, {"n": number, "t": now, "x": padding()})
