"""The demo from beginning to end: broker, readers, publisher, screen, proof."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from tickwire_client import TickwireError, connect

from ..open_files import raise_open_files
from .child import Child
from .crowd import Crowd, CrowdError
from .figures import Figures, counted
from .proof import Proof, compare
from .publisher import Publisher
from .replay import Replay, load
from .screen import show

INTERRUPTED = 130  # 128 + SIGINT, as shells count
_FILES_BESIDE = 100  # that the broker has open beside the readers
_CONNECT_SECONDS = 60.0  # and a hundredth of a second more for each reader


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for: `speed` in trading days a second, `seconds` of replaying or None for all of the data."""

    readers: int
    speed: float
    seconds: float | None
    port: int


def run(plan: Plan) -> int:
    """Run the demo in a terminal, to its exit code."""
    console = Console()
    if (files := raise_open_files()) < plan.readers + _FILES_BESIDE:
        readers = counted(plan.readers, "reader")
        console.print(f"more than {files} open files are needed for {readers}: raise the limit with `ulimit -n`")
        return 1
    try:
        proof = asyncio.run(_Demo(plan, console).run())
    except (CrowdError, TickwireError) as error:
        print(f"tickwire: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return INTERRUPTED
    if proof is None:
        print("tickwire: stopped before anything was replayed", file=sys.stderr)
        return INTERRUPTED
    for line in proof.lines():
        console.print(line, style="bold green" if proof.holds else "red", highlight=False, soft_wrap=True)
    return 0 if proof.holds else 1


class _Demo:
    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan, self._console = plan, console
        self._replay: Replay = load()
        self._crowd = Crowd(plan.readers)
        self._figures = Figures(plan.readers, self._replay.symbols)
        self._publisher: Publisher | None = None
        self._stop = asyncio.Event()

    async def run(self) -> Proof | None:
        """The proof of what was replayed; None where nothing was."""
        self._obey_signals()
        async with contextlib.AsyncExitStack() as stack:
            broker, url = await self._start_broker(stack)
            self._figures.url = url
            stack.push_async_callback(self._crowd.stop)
            await self._crowd.start(url)
            screen = asyncio.ensure_future(show(self._look, self._console))
            stack.push_async_callback(_end, screen)
            prove, gone = asyncio.ensure_future(self._prove(url)), asyncio.ensure_future(broker.hear())
            stack.push_async_callback(_end, prove, gone)
            await asyncio.wait((prove, gone), return_when=asyncio.FIRST_COMPLETED)
            if not prove.done():
                raise CrowdError("the broker ended by itself")
            return prove.result()

    async def _start_broker(self, stack: contextlib.AsyncExitStack) -> tuple[Child, str]:
        broker = await Child.start("broker", self._plan.port, self._plan.readers)
        stack.push_async_callback(broker.stop)
        facts = await broker.hear()
        if facts is None or "error" in facts:
            raise CrowdError(facts["error"] if facts else "the broker ended by itself")
        return broker, str(facts["url"])

    async def _prove(self, url: str) -> Proof | None:
        await self._until_subscribed()
        if self._stop.is_set():
            return None
        async with connect(url) as client:
            publisher = self._publisher = Publisher(client, self._replay, self._crowd, self._plan.speed)
            if self._plan.seconds is not None:
                asyncio.get_running_loop().call_later(self._plan.seconds, self._stop.set)
            self._figures.phase = "replaying"
            await publisher.run(self._stop, self._figures.day)
            self._stop.set()
            self._figures.phase = "catching up"
            ledgers = await self._crowd.hand_in(publisher.ledger.count)
        return compare(publisher.ledger, ledgers, self._plan.readers) if publisher.ledger.count else None

    async def _until_subscribed(self) -> None:
        """Nothing is published before every reader is there: each must get all of it."""
        patience = _CONNECT_SECONDS + self._plan.readers / 100
        try:
            async with asyncio.timeout(patience):
                while self._crowd.subscribed < self._plan.readers and not self._stop.is_set():
                    await self._crowd.news()
        except TimeoutError:
            missing = self._plan.readers - self._crowd.subscribed
            text = f"{counted(missing, 'reader')} could not subscribe within {patience:.0f} seconds"
            raise CrowdError(text) from None

    def _look(self) -> Figures:
        figures, crowd = self._figures, self._crowd
        figures.subscribed, figures.deliveries = crowd.subscribed, crowd.deliveries
        if self._publisher is not None:
            figures.published = self._publisher.ledger.count
            figures.lag = figures.published - crowd.slowest
            figures.slowed = self._publisher.waiting
        return figures

    def _obey_signals(self) -> None:
        """The first Ctrl-C ends the replay and leads to the proof; one more ends the demo."""
        task = asyncio.current_task()
        assert task is not None

        def interrupted() -> None:
            if self._stop.is_set():
                task.cancel()
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupted)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
