"""A reader of a run: it reads on through every reconnection, and after its own death from where it was."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tickwire_client import Gap, Message, Position, TickwireError

from .child import Post, record_file, run
from .events import Complete, Delivered, Event, Missed, Opened, sent_of
from .recorder import read

PATIENCE = 30.0  # seconds for the rest, once nothing more is published


class Reader:
    """Where it stands in each topic, written down as it goes."""

    def __init__(self, post: Post, name: str) -> None:
        self.post, self.name = post, name
        self.next: dict[str, int] = {}
        self._moved = asyncio.Event()

    def got(self, batch: list[Message | Gap]) -> None:
        events: list[Event] = []
        for item in batch:
            if isinstance(item, Gap):
                events.append(Missed(self.name, item.topic, item.epoch, item.start, item.end, item.reason))
                if item.end is not None:
                    self.next[item.topic] = item.end
            else:
                self._add(events, item)
        self.post.recorder.write(*events)
        self._moved.set()

    def _add(self, events: list[Event], message: Message) -> None:
        sent = sent_of(bytes(message.data))
        last = events[-1] if events else None
        if isinstance(last, Delivered) and _follows(last, message):
            last.messages.append(sent)
        else:
            events.append(Delivered(self.name, message.topic, message.epoch, message.offset, [sent]))
        self.next[message.topic] = message.offset + 1

    async def finish(self) -> None:
        """Come back when all that there is at the end was read, or when it should have been."""
        ends = await self.post.finish
        wanted = [topic for topic in ends if topic in self.post.options["topics"]]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(self.next.get(topic, 0) < ends[topic] for topic in wanted):
                    self._moved.clear()
                    await self._moved.wait()
        self.post.recorder.write(Complete(self.name))


def _follows(last: Delivered, message: Message) -> bool:
    end = last.first + len(last.messages)
    return (last.topic, last.epoch, end) == (message.topic, message.epoch, message.offset)


def where_it_was(post: Post) -> Position | None:
    """The position after the last message that an earlier life of this reader was handed; of one topic only."""
    position = None
    for life in range(post.life):
        for _, event in read(record_file(post.folder, post.name, life)):
            if isinstance(event, Delivered):
                position = Position(event.topic, event.epoch, event.first + len(event.messages))
            elif isinstance(event, Missed) and event.end is not None:
                position = Position(event.topic, event.epoch, event.end)
    return position


async def follow(post: Post) -> None:
    client = await post.connected()
    pattern = post.options["pattern"]
    position = where_it_was(post) if post.options["resumes"] else None
    subscription: Any = None
    while subscription is None:
        with contextlib.suppress(TickwireError):
            subscription = await client.subscribe(pattern, since=position or "earliest", gaps=True)
    reader = Reader(post, post.id)
    since: str | list[int] = [position.epoch, position.offset] if position else "earliest"
    post.recorder.write(Opened(post.id, pattern, since))
    finishing = asyncio.create_task(reader.finish())
    finishing.add_done_callback(lambda _: asyncio.ensure_future(subscription.close()))
    async for batch in subscription.batches():
        reader.got(batch)
    await finishing
    await client.close()


if __name__ == "__main__":
    run(follow)
