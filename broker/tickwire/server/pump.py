"""The clock of the engine: when to flush, and when to look after peers that are behind or waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from tickwire.core.engine import Engine

POLL = 0.005  # seconds between looks at peers that are behind
_BUSY = 4  # the loop is idle when nothing was flushed for that many times as long as the last flush took


class Waiter(Protocol):
    """Somebody who does not read until the engine has caught up."""

    def resume(self) -> None: ...


class Pump:
    """Runs the engine on the event loop. `wake` it after whatever may have made the engine due."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.waiting: dict[Waiter, None] = {}
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._scheduled = False
        self._flushed_at, self._took = self.now(), 0.0
        self._polling: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Flush two turns from now: the second lets the rest of a burst arrive, and costs a microsecond when idle."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next_turn)

    def flush(self) -> None:
        """Flush now, if anything is due."""
        if not self.engine.due:
            return
        began = self.now()
        self.engine.flush(began, time.time_ns() // 1000, self._idle(began))
        self._flushed_at = self.now()
        self._took = self._flushed_at - began
        if self.waiting or self.engine.catch_up.behind:
            self.look_after()

    def look_after(self) -> None:
        """Let those go on who waited, and come back every few milliseconds while anybody is waiting or behind."""
        for waiter in list(self.waiting):
            waiter.resume()
        if self._polling is None and (self.waiting or self.engine.catch_up.behind):
            self._polling = self._loop.call_later(POLL, self._poll)

    def stop(self) -> None:
        if self._polling is not None:
            self._polling.cancel()

    def _next_turn(self) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        self.flush()

    def _poll(self) -> None:
        self._polling = None
        self.engine.sweep(self._idle(self.now()))
        self.look_after()

    def _idle(self, now: float) -> bool:
        return now - self._flushed_at > _BUSY * self._took
