"""A place in a consumer group as a script has it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from .consumer import Consumer as AsyncConsumer
from .errors import ConnectionLost
from .loop_thread import LoopThread
from .sync_subscription import OnGap, Subscription
from .work import Handed, Handout, Work

R = TypeVar("R")


class Consumer(Subscription["Delivered"]):
    """`for message in consumer: ...; message.ack()`, or lists of them from `consumer.batches()`."""

    def __init__(self, loop: LoopThread, consumer: AsyncConsumer, on_gap: OnGap | None) -> None:
        super().__init__(loop, consumer, False, on_gap)
        self._consumer = consumer
        self._in_hand: Sequence[Delivered] = ()

    def __exit__(self, kind: type[BaseException] | None = None, *error: object) -> None:
        """Where an error ends the work, the message in hand is given back with its attempt counted."""
        with contextlib.suppress(ConnectionLost):
            self._loop.call(lambda: self._consumer._work.left(kind, self._in_hand))
        self.close()

    def __next__(self) -> Delivered:
        while True:
            message = super().__next__()
            section = message.handed
            if self._take(partial(Work.took, section=section, end=message._index + 1), section.waited):
                self._in_hand = (message,)
                return message

    def batches(self) -> Iterator[list[Delivered]]:
        """Lists of messages, never empty, as many at a time as there are: the fast way."""
        for batch in super().batches():
            waited = any(message.handed.waited for message in batch)
            kept = self._take(partial(Work.took_all, messages=batch), waited)
            if kept:
                self._in_hand = kept
                yield kept

    @property
    def group(self) -> str:
        return self._consumer.group

    @property
    def stale_acks(self) -> int:
        """How many acknowledgments came after the connection that had brought the message: it comes again."""
        return self._consumer.stale_acks

    def ack(self, messages: Iterable[Delivered]) -> None:
        """These are done: `message.ack()` for many at a time. Raises ConnectionLost where the client is closed."""
        done = list(messages)
        self._loop.call(lambda: self._consumer._work.ack(done))

    def nack(self, message: Delivered, delay: float) -> None:
        """Give it back."""

        async def nack() -> None:
            self._consumer._work.nack(message, delay)

        self._loop.run(nack())

    def extend(self, message: Delivered) -> None:
        """Work on it goes on."""
        self._loop.call(lambda: self._consumer._work.extend(message))

    def _take(self, took: Callable[[Work], R], waited: bool) -> R:
        """What the work says to it, in the loop's thread where the broker is to be told."""

        async def take() -> R:
            return took(self._consumer._work)

        return self._loop.run(take()) if waited else took(self._consumer._work)

    def _fetch(self) -> None:
        super()._fetch()
        for at, item in enumerate(self._items):
            if isinstance(item, Handout) and not isinstance(item, Delivered):
                self._items[at] = Delivered(item.handed, item._index, self)


class Delivered(Handout):
    """A message that was handed to a consumer, which says when it is done with it."""

    __slots__ = ("_consumer",)

    def __init__(self, section: Handed, index: int, consumer: Consumer) -> None:
        super().__init__(section, index)
        self._consumer = consumer

    def ack(self) -> None:
        """It is done: nobody of the group gets it again. Returns when that is on its way."""
        self._consumer.ack((self,))

    def nack(self, delay: float = 0.0) -> None:
        """Give it back, to be handed out again after so many seconds, perhaps to another member of the group."""
        self._consumer.nack(self, delay)

    def in_progress(self) -> None:
        """The work on it goes on: its ack timeout begins anew."""
        self._consumer.extend(self)
