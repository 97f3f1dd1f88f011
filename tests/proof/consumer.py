"""A member of consumer groups: it acknowledges most messages, gives some back, is slow with some and forgets some."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tickwire_client import Client, Gap, TickwireError

from .child import Post, run
from .events import Delivered, Missed, Opened, Settled, sent_of


class Member:
    """One consumer of a group, or one member of a live queue group."""

    def __init__(self, post: Post, client: Client, group: str, pattern: str) -> None:
        self._post, self._client, self._group, self._pattern = post, client, group, pattern
        self._name = f"{post.id}.{group}"
        self._tasks: set[asyncio.Task[None]] = set()

    async def consume(self) -> None:
        post, options = self._post, self._post.options
        post.recorder.write(Opened(self._name, self._pattern, "earliest", self._group))
        settings = {"max_unacked": 64, "ack_timeout": options["ack_timeout"], "attempts": 1000, "on_gap": self._missed}
        while True:
            with contextlib.suppress(TickwireError):
                async with self._client.consume(self._pattern, group=self._group, **settings) as consumer:
                    async for message in consumer:
                        self._handed(message, message.attempt)
                        self._answer(message)
            await asyncio.sleep(0.05)

    async def share(self) -> None:
        """A member of a live queue group has nothing to acknowledge."""
        self._post.recorder.write(Opened(self._name, self._pattern, "now", self._group, live=True))
        while True:
            with contextlib.suppress(TickwireError):
                async with self._client.subscribe(self._pattern, group=self._group) as subscription:
                    async for message in subscription:
                        self._handed(message, 1)
            await asyncio.sleep(0.05)

    def _handed(self, message: Any, attempt: int) -> None:
        sent = sent_of(bytes(message.data))
        delivered = Delivered(self._name, message.topic, message.epoch, message.offset, [sent], attempt)
        self._post.recorder.write(delivered)

    def _missed(self, gap: Gap) -> None:
        self._post.recorder.write(Missed(self._name, gap.topic, gap.epoch, gap.start, gap.end, gap.reason))

    def _answer(self, message: Any) -> None:
        """Once it is told to finish, a member is a good one."""
        chosen = self._post.random.random() if not self._post.finish.done() else 0.0
        if chosen < 0.9:
            self._start(self._ack(message, 0.0))
        elif chosen < 0.95:
            self._start(self._nack(message, self._post.random.uniform(0.0, 0.3)))
        elif chosen < 0.998:
            self._start(self._ack(message, self._post.random.uniform(0.0, 0.5)))

    async def _ack(self, message: Any, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        # Before the acknowledgment: killed between the two, it did acknowledge and nobody would know.
        self._post.recorder.write(Settled(self._name, message.topic, message.epoch, message.offset))
        with contextlib.suppress(TickwireError):
            await message.ack()

    async def _nack(self, message: Any, delay: float) -> None:
        with contextlib.suppress(TickwireError):
            await message.nack(delay=delay)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def consume(post: Post) -> None:
    """Until standard input ends."""
    client = await post.connected()
    members = [Member(post, client, group, pattern) for group, pattern in post.options["groups"].items()]
    live = [Member(post, client, group, pattern) for group, pattern in post.options["live"].items()]
    await asyncio.gather(*(each.consume() for each in members), *(each.share() for each in live))


if __name__ == "__main__":
    run(consume)
