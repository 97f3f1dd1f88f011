"""The cases of a siege: what is done to a broker, each with what must be answered. A case a row of docs/security.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Of = TypeVar("Of")


class Casebook(Generic[Of]):
    """By what they are called."""

    def __init__(self) -> None:
        self.cases: dict[str, Callable[[Of], Awaitable[None]]] = {}

    def case(self, function: Callable[[Of], Awaitable[None]]) -> Callable[[Of], Awaitable[None]]:
        self.cases[function.__name__.replace("_", " ")] = function
        return function


async def together(count: int, attack: Callable[[int], Awaitable[Any]], at_once: int = 200) -> list[Any]:
    """So many of them, some at the same time."""
    turn = asyncio.Semaphore(at_once)

    async def one(number: int) -> Any:
        async with turn:
            return await attack(number)

    return await asyncio.gather(*(one(number) for number in range(count)))
