"""The readers seen from the main process: where they stand while it runs, and their ledgers at the end."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from itertools import pairwise

from .child import Child
from .proof import Ledger

_READERS_EACH = 200  # fewer processes than that would leave a core idle; more only take turns


class CrowdError(Exception):
    """A process of readers failed; the sentence says how."""


@dataclass(slots=True)
class Standing:
    """The newest report of one process."""

    subscribed: int = 0
    deliveries: int = 0
    slowest: int = 0


class Crowd:
    """All readers, over a few processes."""

    def __init__(self, readers: int) -> None:
        self.readers = readers
        self.ledgers: dict[int, Ledger] = {}
        self._children: dict[Child, Standing] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def start(self, url: str) -> None:
        """Start the processes; the readers connect from here on."""
        for first, count in _shares(self.readers, min(os.cpu_count() or 1, 1 + self.readers // _READERS_EACH)):
            child = await Child.start("readers", url, first, count)
            self._children[child] = Standing()
            self._listening.append(asyncio.ensure_future(self._listen(child)))

    @property
    def subscribed(self) -> int:
        return sum(standing.subscribed for standing in self._children.values())

    @property
    def deliveries(self) -> int:
        return sum(standing.deliveries for standing in self._children.values())

    @property
    def slowest(self) -> int:
        """The messages that the reader with the fewest has."""
        return min((standing.slowest for standing in self._children.values()), default=0)

    async def news(self) -> None:
        """Wait for the next report. Raises CrowdError when a process has failed."""
        waiting = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait([waiting, *self._listening], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        self._news.clear()
        for task in self._listening:
            if task.done():
                task.result()

    async def hand_in(self, expected: int) -> dict[int, Ledger]:
        """The ledgers, once every reader has that many messages or has waited for them in vain."""
        for child in self._children:
            child.tell(expected=expected)
        await asyncio.gather(*self._listening)
        return self.ledgers

    async def stop(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._children))

    async def _listen(self, child: Child) -> None:
        """Take what a process says until it has handed in its ledgers."""
        while True:
            facts = await child.hear()
            if facts is None:
                raise CrowdError("a process of readers ended by itself")
            if "error" in facts:
                raise CrowdError(facts["error"])
            if "done" in facts:
                return
            if "reader" in facts:
                count = sum(row[0] for row in facts["table"].values())
                self.ledgers[facts["reader"]] = Ledger(facts["table"], facts["remarks"], count)
            else:
                self._children[child] = Standing(**facts)
                self._news.set()


def _shares(readers: int, processes: int) -> list[tuple[int, int]]:
    """(number of the first reader, how many) for each process; numbers start at 1."""
    bounds = [readers * index // processes for index in range(processes + 1)]
    return [(low + 1, high - low) for low, high in pairwise(bounds)]
