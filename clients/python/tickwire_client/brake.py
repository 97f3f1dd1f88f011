"""Stops the reading of a connection while a subscription is full, so that TCP slows the broker."""

from __future__ import annotations

import asyncio
from typing import Any

from .buffer import Buffer


class Brake:
    """On while a slow reader has no room, unless somebody awaits an answer, which stands behind what is not read."""

    def __init__(self) -> None:
        self.on = False
        self._full: set[Buffer] = set()
        self._room = asyncio.Event()
        self._awaited: set[asyncio.Future[Any]] = set()

    def hold(self, feed: Buffer) -> None:
        """Stop reading until the feed has room again, or somebody awaits an answer."""
        self._full.add(feed)

    def release(self, feed: Buffer) -> None:
        self._full.discard(feed)
        if not self._full:
            self._room.set()

    def await_answer(self, answer: asyncio.Future[Any]) -> None:
        """Read on until it is there, whoever is slow: the slow one may be who waits."""
        self._awaited.add(answer)
        self._room.set()

    def answered(self, answer: asyncio.Future[Any]) -> None:
        self._awaited.discard(answer)

    @property
    def wanted(self) -> bool:
        return bool(self._full) and all(answer.done() for answer in self._awaited)

    async def wait(self) -> None:
        """Until there is room."""
        self.on = True
        self._room.clear()
        await self._room.wait()
        self.on = False
