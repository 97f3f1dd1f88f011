"""Somebody who publishes 100 messages a second and reads them: whatever others do to the broker, nothing is to be lost.

Run as a process of its own: for each line on standard input it prints a JSON object with what came since it began.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from tickwire_client import Message, connect

EVERY = 0.01


class Watch:
    def __init__(self) -> None:
        self.sent = self.got = self.lost = self.states = 0
        self.late: list[float] = []

    def take(self, message: Message) -> None:
        number, at = message.data
        self.lost += abs(number - self.got)
        self.got = number + 1
        self.late.append(time.monotonic() - at)

    def report(self) -> dict[str, float]:
        late = sorted(self.late) or [0.0]
        return {
            "sent": self.sent, "got": self.got, "lost": self.lost, "reconnected": self.states - 2,
            "p50_ms": 1e3 * late[len(late) // 2], "p99_ms": 1e3 * late[int(len(late) * 0.99)], "max_ms": 1e3 * late[-1],
        }  # fmt: skip


async def main(url: str, topic: str, token: str | None = None) -> None:
    watch = Watch()

    def changed(state: str, detail: str) -> None:
        watch.states += 1

    async with connect(url, token=token, on_state=changed) as client, client.subscribe(topic) as messages:
        tasks = [asyncio.create_task(step) for step in (_read(messages, watch), _publish(client, topic, watch))]
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        print("ready", flush=True)
        while await lines.readline():
            wanted = watch.sent
            while watch.got < wanted and not any(task.done() for task in tasks):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(EVERY)
            print(json.dumps(watch.report()), flush=True)
        for task in tasks:
            task.cancel()


async def _read(messages: object, watch: Watch) -> None:
    async for message in messages:  # type: ignore[attr-defined]
        watch.take(message)


async def _publish(client: object, topic: str, watch: Watch) -> None:
    due = time.monotonic()
    while True:
        await client.publish(topic, [watch.sent, time.monotonic()])  # type: ignore[attr-defined]
        watch.sent += 1
        due = max(due + EVERY, time.monotonic() - 1)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
