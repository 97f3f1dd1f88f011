"""A place in a consumer group as the application has it: messages to work on, and to acknowledge."""

from __future__ import annotations

from collections.abc import Iterable

from .connection import Connection
from .session import Session
from .subscription import OnGap, Subscription
from .work import Delivered, Work


class Consumer(Subscription[Delivered]):
    """`async for message in consumer: ...; await message.ack()`, or lists of them from `consumer.batches()`.

    Closing it gives back what it has not acknowledged, and so does a lost connection: after that it goes on with what
    the broker hands it then. A message may come twice, and never is one lost that was not acknowledged.
    """

    def __init__(
        self, work: Work, session: Session, connection: Connection, *, gaps: bool, on_gap: OnGap | None
    ) -> None:
        super().__init__(work, session, connection, waits=True, gaps=gaps, on_gap=on_gap)
        self._work = work

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

    async def ack(self, messages: Iterable[Delivered]) -> None:
        """These are done: `message.ack()` for many at a time."""
        self._work.ack(list(messages))
