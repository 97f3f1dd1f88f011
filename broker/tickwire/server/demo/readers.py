"""A process full of readers: each a connection of its own through the SDK, each with a ledger of what it got."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

import uvloop

from tickwire_client import TickwireError, connect

from .child import say, told
from .proof import Ledger

if TYPE_CHECKING:
    from tickwire_client import Gap

PATTERN = "prices.*"

_AT_ONCE = 50  # handshakes under way: more would only wait in the broker's backlog
_REPORT_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0  # without a single message, while some are missing


class Reader:
    """One connection with one subscription."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ledger = Ledger()
        self.subscribed = asyncio.Event()

    async def read(self, url: str, turn: asyncio.Semaphore) -> None:
        async with turn:
            # Plain: between processes of one machine compression only costs.
            client = await connect(url, compress=False)
            prices = await client.subscribe(PATTERN, on_gap=self._on_gap)
        self.subscribed.set()
        async for messages in prices.batches():
            self.ledger.take(messages)

    def _on_gap(self, gap: Gap) -> None:
        self.ledger.remark(f"{gap.topic}: told of a gap from {gap.start} to {gap.end} ({gap.reason})")


class Room:
    """All readers of this process."""

    def __init__(self, first: int, count: int) -> None:
        self.readers = [Reader(number) for number in range(first, first + count)]

    async def open(self, url: str) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for reader in self.readers:
                group.create_task(reader.read(url, turn))
            group.create_task(self._settle())

    async def _settle(self) -> None:
        """What connections are made of stays to the end: collecting it over and over took a quarter of the CPU."""
        for reader in self.readers:
            await reader.subscribed.wait()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def report(self) -> None:
        counts = [reader.ledger.count for reader in self.readers]
        subscribed = sum(reader.subscribed.is_set() for reader in self.readers)
        say(subscribed=subscribed, deliveries=sum(counts), slowest=min(counts))

    async def report_for_ever(self) -> None:
        while True:
            self.report()
            await asyncio.sleep(_REPORT_SECONDS)

    async def catch_up(self, expected: int) -> None:
        """Wait until every reader has that many messages, or nothing has come for a while."""
        loop = asyncio.get_running_loop()
        before, since = -1, loop.time()
        while any(reader.ledger.count < expected for reader in self.readers):
            now = sum(reader.ledger.count for reader in self.readers)
            if now != before:
                before, since = now, loop.time()
            elif loop.time() - since > _PATIENCE_SECONDS:
                return
            await asyncio.sleep(_REPORT_SECONDS / 4)

    def hand_in(self) -> None:
        for reader in self.readers:
            say(reader=reader.number, table=reader.ledger.table, remarks=reader.ledger.remarks)
        say(done=True)


async def main(url: str, first: int, count: int) -> None:
    room = Room(first, count)
    tasks = [asyncio.ensure_future(work) for work in (room.open(url), room.report_for_ever(), _obey(room))]
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in ended:
        if error := task.exception():
            say(error=_sentence(error))


async def _obey(room: Room) -> None:
    async for order in told():
        await room.catch_up(order["expected"])
        room.report()
        room.hand_in()


def _sentence(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    kind = "" if isinstance(error, TickwireError) else f"{type(error).__name__}: "
    return f"a reader failed: {kind}{error}"


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
