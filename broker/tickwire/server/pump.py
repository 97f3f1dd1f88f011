"""The clock of the engine: when to flush, and when to look after peers that are behind or waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

from tickwire.core.engine import Engine
from tickwire.core.policy import Policies

from .storage import Storage

POLL = 0.005  # seconds between looks at peers that are behind
# Seconds between sweeps that write: 100 MB/s for one who catches up, and not the whole core; and where somebody else
# is served meanwhile, whose commits wait for the same core and disk, half of that.
PACE, BUSY_PACE = 0.001, 0.002
_SERVING = 0.02  # seconds after a flush in which somebody else counts as served
_SLOW_POLL = 0.05  # where only the clock can bring something: the timeouts and delays of consumers
_IDLE_AFTER = 4  # the loop is idle when nothing was flushed for that many times as long as the last flush took


class Waiter(Protocol):
    """Somebody who does not read until the engine has caught up."""

    def resume(self) -> None: ...


class Pump:
    """Runs the engine on the event loop. `wake` it after whatever may have made the engine due."""

    def __init__(self, engine: Engine, policies: Policies | None = None, busy_poll: float = 0.0) -> None:
        self.engine = engine
        self.waiting: dict[Waiter, None] = {}
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.storage: Storage | None = None
        if engine.store.durable:
            self.storage = Storage(engine, policies or Policies(), self._stored, self._look_soon, busy_poll)
        self._scheduled = False
        self._flushed_at, self._took = self.now(), 0.0
        self._polling: asyncio.Handle | None = None
        self._looking = False  # in a moment, not only at the next poll

    def wake(self) -> None:
        """Flush two turns from now: the second lets the rest of a burst arrive, and costs a microsecond when idle."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next_turn)

    def flush(self, seals: bool = True) -> None:
        """Flush now, if anything is due."""
        if not self.engine.due:
            return
        began = self.now()
        self.engine.flush(began, time.time_ns() // 1000, self._idle(began), seals)
        self._flushed_at = self.now()
        self._took = self._flushed_at - began
        if self.storage is not None:
            self.storage.serve()
        if self.waiting or self.engine.restless:
            if self.engine.catch_up.trailing and self.engine.catch_up.wrote:
                self._look_soon()
            self.look_after()

    def look_after(self) -> None:
        """Let those go on who waited, and come back every few milliseconds while anybody is waiting or behind."""
        for waiter in list(self.waiting):
            waiter.resume()
        if self._polling is None and (self.waiting or self.engine.restless):
            self._polling = self._loop.call_later(self._pause(), self._poll)

    async def settle(self, timeout: float) -> None:
        """Flush, and wait for the disk, so that who published up to now gets the acknowledgment."""
        self.flush()
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(timeout):
                for _ in range(2):  # the commit that is under way, and the one with what waits for it
                    if self.storage is not None and self.storage.committing:
                        await self.storage.next_commit()

    async def stop(self) -> None:
        """Store what is pending, and let go of the store."""
        if self._polling is not None:
            self._polling.cancel()
        if self.storage is not None:
            self.flush()
            await self.storage.close()

    def _stored(self) -> None:
        """Acknowledge what a commit has stored, then let into the next one what came meanwhile.

        Sealed before the acknowledgments went out, it had 6.9 messages of sixteen publishers, and so it has 7.6: 1.09
        times as many a second (the median of five pairs).
        """
        self.flush(seals=False)
        if self.engine.due:
            self.wake()

    def _next_turn(self) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        self.flush()

    def _poll(self) -> None:
        self._polling = None
        self._sweep()

    def _look_soon(self) -> None:
        """A sweep gave somebody 128 KiB who may want more: in a moment, so that others and the disk get their turn."""
        if not self._looking:
            self._looking = True
            self._loop.call_later(BUSY_PACE if self.now() - self._flushed_at < _SERVING else PACE, self._look)

    def _look(self) -> None:
        self._looking = False
        self._sweep()

    def _sweep(self) -> None:
        now = self.now()
        wrote = self.engine.sweep(self._idle(now), now)
        if self.storage is not None:
            self.storage.serve()
        if self.engine.due:
            self.wake()
        if wrote:
            self._look_soon()
        self.look_after()

    def _pause(self) -> float:
        catch_up = self.engine.catch_up
        return POLL if self.waiting or catch_up.behind or catch_up.trailing else _SLOW_POLL

    def _idle(self, now: float) -> bool:
        return now - self._flushed_at > _IDLE_AFTER * self._took
