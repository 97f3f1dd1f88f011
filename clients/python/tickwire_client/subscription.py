"""A subscription as the application has it: iterate over messages, or over batches of them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar, cast, overload

from .buffer import Buffer, Item
from .connection import Connection
from .messages import Gap, Message, Messages, Section
from .session import Session

log = logging.getLogger("tickwire_client")

# Messages in one of `batches()`, not counting the rest of a section. In longer ones more data lives long enough for
# full collections of Python's garbage collector: a reader of maps did 1.13 M/s with 256, 1.05 M/s with 1,024.
BATCH_MESSAGES = 256
# A reader that never waits gives the loop a turn this often, so that beats are sent and other tasks live (seconds).
_TURN = 0.005

GAP_WARNING = "subscription to %s: %s (said once; on_gap= or gaps=True tell of each)"

OnGap = Callable[[Gap], Awaitable[None] | None]
T = TypeVar("T", bound=Message | Gap)
B = TypeVar("B", bound=Sequence[Message | Gap])


class Subscription(Generic[T]):
    """`async for message in subscription`, or `async for messages in subscription.batches()`.

    Iterating ends when the subscription or the client is closed. It raises Refused where the broker would not have the
    subscription back after a reconnection, and ConnectionLost where the client was told not to reconnect.
    """

    def __init__(
        self, feed: Buffer, session: Session, connection: Connection, *, waits: bool, gaps: bool, on_gap: OnGap | None
    ) -> None:
        self._feed, self._session, self._connection = feed, session, connection
        self._waits, self._gaps, self._on_gap = waits, gaps, on_gap
        self._news = asyncio.Event()
        self._items: deque[Item] = deque()  # taken from the feed and not handed out
        # Of the batch that `async for message` is at. Several tasks may share it: one adds behind what others left.
        self._messages: deque[T] = deque()
        self._turn_ends = 0.0
        self._closed = False
        self._warned = False
        feed.wake = self._wake

    def __repr__(self) -> str:
        ended = ", ended" if self._closed or self._feed.ended else ""
        return f"<Subscription {self.pattern!r}{ended}>"

    @property
    def pattern(self) -> str:
        return self._feed.pattern

    @property
    def lost(self) -> int:
        """How many messages are known to be missing: in gaps of known size, handed out or on their way."""
        return self._feed.lost

    async def close(self) -> None:
        """Want no more of it. What was not handed out is dropped."""
        self.drop()

    def drop(self) -> None:
        """Close it. There is nothing to wait for."""
        if not self._closed:
            self._closed = True
            self._items.clear()
            self._messages.clear()
            self._session.unsubscribe(self._feed)
            self._connection.brake.release(self._feed)
            self._connection.send_soon()

    async def __aenter__(self) -> Subscription[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None = None, *error: object) -> None:
        await self.close()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        if time.monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + _TURN
        while True:
            if self._messages:
                return self._messages.popleft()
            self._messages.extend(await self._next_batch())

    @overload
    def batches(self: Subscription[Message]) -> Batches[Messages]: ...
    @overload
    def batches(self) -> Batches[Sequence[T]]: ...
    def batches(self) -> Batches[Any]:
        """`Messages`, never empty, as many at a time as there are: the fast way.

        With `gaps=True` they are lists, and hold the gaps too, in their places. Otherwise they end where a gap is, and
        `on_gap` is called before the next are handed out.
        """
        return Batches(self)

    async def next_batch(self) -> Sequence[T]:
        """The next of `batches()`. Raises StopAsyncIteration where there will be none."""
        rest = list(self._messages)  # of a list that `async for message` had begun
        self._messages.clear()
        return rest or await self._next_batch()

    async def _next_batch(self) -> Sequence[T]:
        # Cancelled while it waits, it has taken nothing: `wait_for` around it loses no message.
        while True:
            batch: list[Item] = []
            await self._wait_for_items()
            while self._items:
                item = self._items[0]
                if not isinstance(item, Gap) or self._gaps:
                    batch.append(item)
                elif batch:
                    break  # it is told of when what stands before it was handled
                else:
                    await self._tell(item)
                if self._items:
                    self._items.popleft()
            if batch and (handed := _handed(batch)):
                return cast(Sequence[T], handed)

    async def _wait_for_items(self) -> None:
        """Take what has come. The loop gets a turn in any case, or a reader that is never idle would hold it."""
        await asyncio.sleep(0)
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            feed = self._feed
            self._items.extend(feed.take(BATCH_MESSAGES))
            if feed.half_empty:
                self._connection.brake.release(feed)
            if not self._items:
                if feed.ended:
                    raise feed.error or StopAsyncIteration
                self._starve()
                self._news.clear()
                await self._news.wait()

    async def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            answer = self._on_gap(gap)
            if inspect.isawaitable(answer):
                await answer
        elif not self._warned:
            self._warned = True
            log.warning(GAP_WARNING, self.pattern, gap)

    def _starve(self) -> None:
        """The application waits, and there is nothing for it."""

    def _wake(self) -> None:
        self._news.set()
        if self._waits and self._feed.full and not self._closed:
            self._connection.brake.hold(self._feed)


def _handed(batch: list[Item]) -> Sequence[Message | Gap]:
    """What the application gets of it."""
    sections = [item for item in batch if type(item) is Section]
    if len(sections) == len(batch):
        return Messages(sections)
    return list(chain.from_iterable([item] if isinstance(item, Gap) else item.messages() for item in batch))


class Batches(Generic[B]):
    """What came together for a subscription."""

    def __init__(self, subscription: Subscription[Any]) -> None:
        self._subscription = subscription

    def __aiter__(self) -> Batches[B]:
        return self

    async def __anext__(self) -> B:
        return cast(B, await self._subscription.next_batch())
