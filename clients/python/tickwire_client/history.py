"""What was kept, as the application has it: iterate over messages, or over batches of them, until all have come."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from .messages import Gap, Message
from .subscription import Subscription

T = TypeVar("T", bound=Message | Gap)


class History(Generic[T]):
    """`async for message in history`, or `async for messages in history.batches()`, each once.

    It is asked for when it is entered with `async with`, or when iterating begins, and given up when that ends, in
    whichever way. Iterating raises what a subscription's does.
    """

    def __init__(self, what: str, open: Callable[[], Awaitable[Subscription[T]]], limit: int | None) -> None:
        self._what, self._open, self._limit = what, open, limit
        self._subscription: Subscription[T] | None = None

    def __repr__(self) -> str:
        return f"<{self._what}>"

    @property
    def lost(self) -> int:
        """How many messages are known to be missing: in gaps of known size."""
        return 0 if self._subscription is None else self._subscription.lost

    async def __aenter__(self) -> History[T]:
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._subscription is not None:
            await self._subscription.close()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._messages()

    async def batches(self) -> AsyncGenerator[Sequence[T], None]:
        """`Messages`, never empty, as many at a time as there are: the fast way."""
        left = self._limit
        if left == 0:
            return
        # A loop that is left early closes the generator, and with it the subscription: what nobody reads would hold
        # the connection.
        subscription = await self.open()
        try:
            while left is None or left > 0:
                try:
                    batch = await subscription.next_batch()
                except StopAsyncIteration:
                    return
                if left is not None:
                    batch, left = first(batch, left)
                yield batch
        finally:
            await subscription.close()

    async def _messages(self) -> AsyncGenerator[T, None]:
        async with contextlib.aclosing(self.batches()) as batches:
            async for batch in batches:
                for message in batch:
                    yield message

    async def open(self) -> Subscription[T]:
        """Ask for it, once."""
        if self._subscription is None:
            self._subscription = await self._open()
        return self._subscription


def first(batch: Sequence[T], count: int) -> tuple[Sequence[T], int]:
    """The items up to so many messages, gaps not counted; and how many are left."""
    for at, item in enumerate(batch, 1):
        count -= not isinstance(item, Gap)
        if count == 0:
            return batch[:at], 0
    return batch, count
