"""Subscriptions and histories as a script has them: iterate over messages, or over batches of them."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

from .errors import ConnectionLost
from .history import first
from .loop_thread import LoopThread
from .messages import Gap, Message
from .subscription import GAP_WARNING
from .subscription import Subscription as AsyncSubscription

log = logging.getLogger("tickwire_client")

OnGap = Callable[[Gap], object]
T = TypeVar("T", bound=Message | Gap)


class Subscription(Generic[T]):
    """`for message in subscription`, or `for messages in subscription.batches()`."""

    def __init__(
        self, loop: LoopThread, subscription: AsyncSubscription[Any], gaps: bool, on_gap: OnGap | None
    ) -> None:
        self._loop, self._subscription = loop, subscription
        self._gaps, self._on_gap = gaps, on_gap
        self._items: deque[Message | Gap] = deque()
        self._warned = False

    def __repr__(self) -> str:
        return repr(self._subscription)

    @property
    def pattern(self) -> str:
        return self._subscription.pattern

    @property
    def lost(self) -> int:
        """How many messages are known to be missing."""
        return self._subscription.lost

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while True:
            if not self._items:
                self._fetch()
            item = self._items.popleft()
            if self._gaps or not isinstance(item, Gap):
                return cast(T, item)
            self._tell(item)

    def batches(self) -> Iterator[list[T]]:
        """Lists of messages, never empty, as many at a time as there are: the fast way."""
        while True:
            try:
                first = next(self)
            except StopIteration:
                return
            batch = [first]
            while self._items and (self._gaps or not isinstance(self._items[0], Gap)):
                batch.append(cast(T, self._items.popleft()))
            yield batch

    def close(self) -> None:
        """Want no more of it. What was not handed out is dropped."""
        self._items.clear()
        with contextlib.suppress(ConnectionLost):  # the client is closed, and the subscription with it
            self._loop.run(self._subscription.close())

    def drop(self) -> None:
        """Close it without waiting, in whichever thread."""
        self._items.clear()
        with contextlib.suppress(ConnectionLost):
            self._loop.call(self._subscription.drop)

    def __enter__(self) -> Subscription[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *error: object) -> None:
        self.close()

    def _fetch(self) -> None:
        async def fetch() -> Sequence[Message | Gap]:
            try:
                return await self._subscription._next_batch()
            except StopAsyncIteration:
                return []

        try:
            self._items.extend(self._loop.run(fetch()))
        except ConnectionLost:
            if self._loop.running:
                raise
        if not self._items:
            raise StopIteration

    def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            self._on_gap(gap)
        elif not self._warned:
            self._warned = True
            log.warning(GAP_WARNING, self.pattern, gap)


class History(Generic[T]):
    """`for message in history`, or `for messages in history.batches()`, each once."""

    def __init__(self, what: str, open: Callable[[], Subscription[T]], limit: int | None) -> None:
        self._what, self._open, self._limit = what, open, limit
        self._subscription: Subscription[T] | None = None

    def __repr__(self) -> str:
        return self._what

    @property
    def lost(self) -> int:
        """How many messages are known to be missing: in gaps of known size."""
        return 0 if self._subscription is None else self._subscription.lost

    def __enter__(self) -> History[T]:
        self._opened()
        return self

    def __exit__(self, *error: object) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def __iter__(self) -> Iterator[T]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[Sequence[T]]:
        """Lists of messages, never empty, as many at a time as there are: the fast way."""
        if self._limit == 0:
            return
        left, subscription = self._limit, self._opened()
        try:
            for each in subscription.batches():
                batch, left = (each, None) if left is None else first(each, left)
                yield batch
                if left == 0:
                    return
        finally:
            subscription.drop()

    def _opened(self) -> Subscription[T]:
        if self._subscription is None:
            self._subscription = self._open()
        return self._subscription
