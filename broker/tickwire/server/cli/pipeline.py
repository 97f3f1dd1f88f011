"""Batches of lines on their way to a broker, and what became of which lines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tickwire_client import Batch

_UNDER_WAY = 8  # batches not yet acknowledged: far below what the client buffers, enough for a distant broker
_STORED, _NOT, _PERHAPS = "are published", "are not", "perhaps"

T = TypeVar("T")


@dataclass(slots=True)
class _Part:
    """Some lines, counted from 1, and their fate."""

    first: int
    last: int
    fate: str = _NOT


class Pipeline:
    """Batches sent in their order, a few of them not yet acknowledged. After a failure no more are begun."""

    def __init__(self) -> None:
        self.error: Exception | None = None  # the first one
        self._failed = asyncio.Event()
        self._room = asyncio.Semaphore(_UNDER_WAY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._parts: deque[_Part] = deque()

    async def run(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do the work, which calls `send`, until its end or a failure, and wait for what is under way by then."""
        working = asyncio.ensure_future(work)
        failing = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait((working, failing), return_when=asyncio.FIRST_COMPLETED)
            if self._tasks:
                await asyncio.wait(self._tasks)
            return working.result() if working.done() else None
        finally:
            tasks = (working, failing, *self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, batch: Batch, first: int, last: int) -> None:
        """Publish the batch, which holds these lines; waits while many are under way."""
        await self._room.acquire()
        part = _Part(first, last)
        self._parts.append(part)
        if self.error is None:
            task = asyncio.create_task(self._publish(batch, part))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _publish(self, batch: Batch, part: _Part) -> None:
        from tickwire_client import OutcomeUnknown

        try:
            async with batch:
                pass
            part.fate = _STORED
            self._forget_stored()
        except Exception as error:
            part.fate = _PERHAPS if isinstance(error, OutcomeUnknown) else _NOT
            self.error = self.error or error
            self._failed.set()
        finally:
            self._room.release()

    def _forget_stored(self) -> None:
        """However long the input is, what is remembered of it is what is under way."""
        parts = self._parts
        while len(parts) > 1 and parts[0].fate == parts[1].fate == _STORED:
            first = parts.popleft().first
            parts[0].first = first

    def fates(self) -> str:
        """What became of the lines, as the end of a sentence."""
        joined: list[_Part] = []
        for part in self._parts:
            if joined and joined[-1].fate == part.fate:
                joined[-1].last = part.last
            else:
                joined.append(_Part(part.first, part.last, part.fate))
        return "; ".join(f"lines {part.first} to {part.last} {part.fate}" for part in joined) + ", and none after"
