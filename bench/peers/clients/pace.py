"""What all of them have in common: the message, how far the publisher may be ahead, and the reader's figures."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import msgpack

from tickwire_bench.clients.publisher import CHUNK, PADDING
from tickwire_bench.clients.reader import CREDIT, CREDIT_TOPIC, TOPIC, WARMUP_S
from tickwire_bench.clients.stretch import Stretch

__all__ = ["CREDIT_TOPIC", "TOPIC", "Pace", "Reading"]


class Reading:
    """Checks that the messages come in order, and counts them over the measured time."""

    def __init__(self, seconds: float, credit: Callable[[int], Awaitable[object]]) -> None:
        self._seconds, self._credit = seconds, credit
        self._count = self._credited = self._from = 0
        self._ready = 0.0
        self._stretch: Stretch | None = None
        self.done = asyncio.Event()

    async def took(self, payload: bytes) -> None:
        """One message, as it came."""
        number = msgpack.unpackb(payload)["n"]
        if number != self._count:
            sys.exit(f"expected message {self._count}, got {number}")
        self._count += 1
        if self._count - self._credited >= CREDIT:
            self._credited = self._count
            self._look()
            await self._credit(self._count)

    def _look(self) -> None:
        now = time.monotonic()
        if self._stretch is not None:
            if now >= self._stretch.start + self._seconds and not self.done.is_set():
                self._stretch.report(self._count - self._from)
                self.done.set()
        elif not self._ready:
            self._ready = now + WARMUP_S
        elif now >= self._ready:
            self._stretch, self._from = Stretch(), self._count


class Pace:
    """How far the publisher is, and how far the reader."""

    def __init__(self, in_flight: int) -> None:
        self._in_flight, self._had, self._sent, self._heard = in_flight, 0, 0, asyncio.Event()

    def had(self, payload: bytes) -> None:
        self._had = int(payload)
        self._heard.set()

    async def publish(self, send: Callable[[list[bytes]], Awaitable[None]]) -> None:
        """Without an end, `CHUNK` messages at a time."""
        while True:
            while self._sent - self._had >= self._in_flight:
                self._heard.clear()
                await self._heard.wait()
            stamp, first = time.monotonic_ns(), self._sent
            self._sent += CHUNK
            await send([msgpack.packb({"t": stamp, "n": n, "x": PADDING}) for n in range(first, self._sent)])
            await asyncio.sleep(0)
