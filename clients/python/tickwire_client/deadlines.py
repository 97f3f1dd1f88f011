"""Futures that must be settled by a time. All wait equally long, so one timer serves them in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from .errors import ConnectionLost, OutcomeUnknown
from .publishes import Entry, Whole


class Deadlines:
    """Publishes that wait for their acknowledgment. A timer for each would cost more than the publish."""

    def __init__(self, timeout: float, abandon: Callable[[Entry | Whole], bool]) -> None:
        """`abandon` is told of each that is late, and says whether it was sent."""
        self.timeout = timeout
        self._abandon = abandon
        self._waiting: deque[tuple[float, asyncio.Future[Any], Entry | Whole]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], publish: Entry | Whole) -> None:
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        loop = future.get_loop()
        waiting.append((loop.time() + self.timeout, future, publish))
        if self._timer is None:
            self._timer = loop.call_later(self.timeout, self._expire)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting:
            deadline, future, publish = self._waiting[0]
            if not future.done():
                if deadline > now:
                    self._timer = loop.call_at(deadline, self._expire)
                    return
                future.set_exception(self._error(self._abandon(publish)))
            self._waiting.popleft()

    def _error(self, sent: bool) -> ConnectionLost | OutcomeUnknown:
        if sent:
            return OutcomeUnknown(f"sent, but not acknowledged within {self.timeout:g} s: perhaps stored, perhaps not")
        return ConnectionLost(f"no connection within {self.timeout:g} s: certainly not sent")
