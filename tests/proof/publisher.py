"""A publisher of a run: single messages, batches and some that nobody waits for, until it is told to finish."""

from __future__ import annotations

import asyncio

from tickwire_client import BufferFull, Client, ConnectionLost, OutcomeUnknown, Receipt, TickwireError
from tickwire_client import Refused as RefusedError

from .child import Post, run
from .events import Invoked, Refused, Sent, Stored, Unknown, payload_of

OUTSTANDING = 32  # publishes that wait for their acknowledgment at a time
BATCH = 16  # messages; fewer where they are large


class Publisher:
    def __init__(self, post: Post, client: Client) -> None:
        self._post, self._client = post, client
        self._number = 0
        self._batch = min(BATCH, 800_000 // (max(post.options["sizes"]) + 1))
        self._free = asyncio.Semaphore(OUTSTANDING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        random, pause = self._post.random, 1 / self._post.options["per_second"]
        while not self._post.finish.done():
            await self._free.acquire()
            chosen = random.random()
            if chosen < 0.6:
                self._start(1)
            elif chosen < 0.8:
                self._start(random.randint(2, self._batch))
            else:
                self._post_some(random.randint(1, 4))
                self._free.release()
            await asyncio.sleep(random.expovariate(1 / pause))
        await asyncio.gather(*self._tasks)

    def _start(self, count: int) -> None:
        """What is published here has its place behind all that was published before, and before all that will be."""
        messages = self._messages(count)
        self._post.recorder.write(*(Invoked(topic, sent) for topic, sent, _ in messages))
        task = asyncio.create_task(self._publish(messages))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, messages: list[tuple[str, Sent, bytes]]) -> None:
        try:
            receipts = await self._receipts(messages)
        except RefusedError as error:
            self._post.recorder.write(*(Refused(sent, error.code) for _, sent, _ in messages))
        except ConnectionLost:
            self._post.recorder.write(*(Refused(sent, "not_sent") for _, sent, _ in messages))
        except OutcomeUnknown as error:
            self._post.recorder.write(*(Unknown(sent, str(error)) for _, sent, _ in messages))
        else:
            answers = zip(messages, receipts, strict=True)
            stored = (Stored(topic, sent, got.epoch, got.offset) for (topic, sent, _), got in answers)
            self._post.recorder.write(*stored)
        finally:
            self._free.release()

    async def _receipts(self, messages: list[tuple[str, Sent, bytes]]) -> list[Receipt]:
        if len(messages) == 1:
            topic, _, payload = messages[0]
            return [await self._client.publish(topic, payload=payload)]
        async with self._client.batch() as batch:
            for topic, sent, payload in messages:
                # Another format closes a section, so that runs of one message and of many are stored.
                if sent.number % 7:
                    batch.add(topic, payload=payload)
                else:
                    batch.add(topic, payload)
        return batch.receipts

    def _post_some(self, count: int) -> None:
        for topic, sent, payload in self._messages(count):
            self._post.recorder.write(Invoked(topic, sent, acked=False))
            try:
                self._client.publish_nowait(topic, payload=payload)
            except BufferFull:
                self._post.recorder.write(Refused(sent, "buffer_full"))

    def _messages(self, count: int) -> list[tuple[str, Sent, bytes]]:
        messages = []
        for _ in range(count):
            self._number += 1
            topic = self._post.random.choice(self._post.options["topics"])
            filler = self._post.random.choice(self._post.options["sizes"])
            messages.append((topic, *payload_of(self._post.id, self._number, filler)))
        return messages


async def publish(post: Post) -> None:
    client = await post.connected(publisher=post.name)
    try:
        await Publisher(post, client).run()
    finally:
        try:
            await client.close()
        except TickwireError as error:
            print(f"{post.id}: {error}", flush=True)


if __name__ == "__main__":
    run(publish)
