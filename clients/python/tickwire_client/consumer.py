"""A place in a consumer group as the application has it: messages to work on, and to acknowledge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .connection import Connection
from .session import Session
from .subscription import OnGap, Subscription
from .work import Delivered, Work


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

    def __repr__(self) -> str:
        ended = ", ended" if self._closed or self._work.ended else ""
        return f"<Consumer of {self.pattern!r} in group {self.group!r}{ended}>"

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
        message = await super().__anext__()
        self._in_hand = (message,)
        return message

    async def next_batch(self) -> list[Delivered]:
        """The next list of `batches()`. Raises StopAsyncIteration where there will be none."""
        batch = await super().next_batch()
        self._in_hand = batch
        return batch

    async def ack(self, messages: Iterable[Delivered]) -> None:
        """These are done: `message.ack()` for many at a time."""
        self._work.ack(list(messages))
