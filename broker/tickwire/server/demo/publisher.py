"""The publisher: one batch of prices a trading day, at its speed, but never far ahead of the slowest reader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tickwire_client.payloads import pack

from .crowd import Crowd, CrowdError
from .proof import Ledger
from .replay import Day, Replay

if TYPE_CHECKING:
    from tickwire_client import Client

_LEAD_DAYS = 20  # at least; the broker keeps thousands of days of each topic
_LEAD_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0


class Sent(NamedTuple):
    """A message as the publisher knows it: where the receipt says that it stands, and its payload."""

    topic: str
    offset: int
    payload: bytes


class Publisher:
    """Sends the days of a replay and keeps the ledger that the readers are held against."""

    def __init__(self, client: Client, replay: Replay, crowd: Crowd, speed: float) -> None:
        self.ledger = Ledger()
        self.waiting = False  # for the readers
        self._client, self._replay, self._crowd = client, replay, crowd
        self._interval = 1 / speed
        self._lead = max(_LEAD_DAYS, int(speed * _LEAD_SECONDS)) * len(replay.symbols)

    async def run(self, stop: asyncio.Event, shown: Callable[[Day], None]) -> None:
        """Publish all days, or until told to stop."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for day in self._replay.days:
            await self._wait_for_readers(stop)
            await _sleep_until(due, stop)
            if stop.is_set():
                return
            # What the readers cost is not made up for: after a pause the replay goes on at its speed, not in a burst.
            due = max(due, loop.time() - self._interval) + self._interval
            await self._publish(day)
            shown(day)

    async def _publish(self, day: Day) -> None:
        batch = self._client.batch()
        payloads = []
        async with batch:
            for topic, close in zip(self._replay.topics, day.closes, strict=True):
                data = {"day": day.date, "close": close}
                batch.add(topic, data)
                payloads.append(pack(data))
        receipts = zip(batch.receipts, payloads, strict=True)
        self.ledger.take([Sent(receipt.topic, receipt.offset, payload) for receipt, payload in receipts])

    async def _wait_for_readers(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while self.ledger.count - self._crowd.slowest > self._lead and not stop.is_set():
                    self.waiting = True
                    await self._crowd.news()
        except TimeoutError:
            raise CrowdError(f"a reader got nothing for {_PATIENCE_SECONDS:g} seconds") from None
        finally:
            self.waiting = False


async def _sleep_until(due: float, stop: asyncio.Event) -> None:
    rest = due - asyncio.get_running_loop().time()
    if rest > 0.001:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), rest)
