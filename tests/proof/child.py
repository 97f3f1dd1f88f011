"""What the clients of a run have in common: a process each, that records, and obeys lines on its standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tickwire_client import Client, ConnectionLost, Refused, connect
from tickwire_client.backoff import Backoff

from .events import Connected
from .recorder import Recorder

TIMEOUT = 20.0  # seconds in which a publish or a subscription must come to its end


@dataclass
class Post:
    """Where a client stands. `life` counts how often it was started: with the name it is a name for good."""

    name: str
    life: int
    url: str
    folder: Path
    recorder: Recorder
    random: Random
    options: dict[str, Any]
    finish: asyncio.Future[dict[str, int]]
    """The order to come to an end, with the next offset of each topic that is there at the end."""

    @property
    def id(self) -> str:
        return f"{self.name}.{self.life}"

    async def connected(self, **options: Any) -> Client:
        """A client of the broker, whenever there is one."""
        while True:
            try:
                client = await connect(self.url, timeout=TIMEOUT, on_state=self._state, **options)
            except (ConnectionLost, Refused):
                await asyncio.sleep(0.05)
                continue
            # The broker lives a second here: an application's patience would let most of its lives go by.
            client._connection._backoff = Backoff(base=0.02, cap=0.2)
            return client

    def _state(self, state: str, detail: str) -> None:
        if state == "connected":
            self.recorder.write(Connected())


def run(work: Callable[[Post], Awaitable[None]]) -> None:
    """The main function of a client: its arguments are one JSON object."""
    asyncio.run(_run(work, json.loads(sys.argv[1])))


async def _run(work: Callable[[Post], Awaitable[None]], given: dict[str, Any]) -> None:
    finish: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
    name, life, folder = given["name"], given["life"], Path(given["folder"])
    random = Random(f"{given['seed']} {name} {life}")
    recorder = Recorder(record_file(folder, name, life))
    post = Post(name, life, given["url"], folder, recorder, random, given["options"], finish)
    listening = asyncio.create_task(_listen(finish))
    working = asyncio.ensure_future(work(post))
    await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if working.done():
        working.result()
    working.cancel()  # whoever ran this has gone


async def _listen(finish: asyncio.Future[dict[str, int]]) -> None:
    """Until standard input ends: the order to finish may come."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if not finish.done():
            finish.set_result(json.loads(line))


def record_file(folder: Path, name: str, life: int) -> Path:
    return folder / f"{name}.{life}.jsonl"
