"""A place in a consumer group as the application has it: messages to work on, and to acknowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from .connection import Connection
from .holding import TICKS
from .session import Session
from .subscription import OnGap, Subscription
from .work import Delivered, Work

_PATIENCE = 1.0  # seconds of work that are asked for ahead, and no more than an eighth of the ack timeout
_LEAST_TICK = 0.01  # seconds: an ack timeout below a few of them is for the broker to keep


class Consumer(Subscription[Delivered]):
    """`async for message in consumer: ...; await message.ack()`, or lists of them from `consumer.batches()`.

    Closing it gives back what it has not acknowledged, and so does a lost connection: after that it goes on with what
    the broker hands it then. A message may come twice, and never is one lost that was not acknowledged. Where the block
    ends with an error, it counts as an attempt at the message in hand: of a list, the first not acknowledged.
    """

    def __init__(
        self, work: Work, session: Session, connection: Connection, *, gaps: bool, on_gap: OnGap | None
    ) -> None:
        super().__init__(work, session, connection, waits=True, gaps=gaps, on_gap=on_gap)
        self._work = work
        self._in_hand: Sequence[Delivered] = ()  # what the application got last
        self._ticked = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def __repr__(self) -> str:
        ended = ", ended" if self._closed or self._work.ended else ""
        return f"<Consumer of {self.pattern!r} in group {self.group!r}{ended}>"

    def drop(self) -> None:
        self._timer.cancel()
        super().drop()

    @property
    def group(self) -> str:
        return self._work.group

    @property
    def stale_acks(self) -> int:
        """How many acknowledgments came too late, after the connection that had brought the message: it comes again."""
        return self._work.stale_acks

    async def __aexit__(self, kind: type[BaseException] | None = None, *error: object) -> None:
        """Where an error ends the work, the message in hand is given back with its attempt counted."""
        self._work.left(kind, self._in_hand)
        await self.close()

    async def __anext__(self) -> Delivered:
        while True:
            message = await super().__anext__()
            if self._work.took(message.handed, message._index + 1):
                self._in_hand = (message,)
                return message

    async def next_batch(self) -> list[Delivered]:
        """The next list of `batches()`. Raises StopAsyncIteration where there will be none."""
        while True:
            batch = self._work.took_all(list(await super().next_batch()))
            if batch:
                self._in_hand = batch
                return batch

    async def ack(self, messages: Iterable[Delivered]) -> None:
        """These are done: `message.ack()` for many at a time."""
        self._work.ack(list(messages))

    async def _next_batch(self) -> Sequence[Delivered]:
        self._work.asked(time.monotonic(), min(_PATIENCE, self._ack_timeout / 8))
        batch = await super()._next_batch()
        self._work.pace.gave(len(batch), time.monotonic())
        return batch

    def _starve(self) -> None:
        self._work.starved()

    @property
    def _ack_timeout(self) -> float:
        return self._work.terms.ack_timeout or self._session.limits.ack_timeout_ms / 1000

    @property
    def _tick_seconds(self) -> float:
        return max(_LEAST_TICK, self._ack_timeout / TICKS)

    def _tick(self) -> None:
        """See to it that the broker knows what waits here. Where the loop was blocked, several ticks are over."""
        if not self._closed and not self._work.ended:
            seconds, now = self._tick_seconds, time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._tick)
            self._work.tick(max(1, round((now - self._ticked) / seconds)))
            self._ticked = now
