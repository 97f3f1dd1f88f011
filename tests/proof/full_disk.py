"""Lives of a broker whose disk becomes full, and has room again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .broker import NoRoom
from .crew import hog
from .run import Run
from .schedule import FullLife
from .small_disk import Ballast

_HOG_FRAMES = 60.0  # a second, of 100 kB or more
_PATIENCE = 30.0  # seconds until the broker notices


class FullDisk:
    """What a run does once its store is on a small disk."""

    def __init__(self, run: Run, disk: Path) -> None:
        self._run, self._ballast = run, Ballast(disk)

    async def begin(self) -> None:
        """Somebody writes more than the others."""
        await self._run.crew.add(hog(_HOG_FRAMES, f"ws://127.0.0.1:{self._run.broker.port}"))

    async def live(self, life: FullLife) -> None:
        """One life of the broker. It may begin on a disk that is full, and end on one."""
        run = self._run
        await run.begin_life()
        await self._listen()
        self._ballast.drop()
        cutting = asyncio.create_task(self._cut(life.cuts_every))
        try:
            await self._become_full(life)
        finally:
            cutting.cancel()
        await run.end_life("on a full disk" if life.then_for is None else "at random")

    def end(self) -> None:
        self._ballast.drop()

    async def _listen(self) -> None:
        """A broker may refuse to open its store on a full disk, as long as it does so once there is room."""
        run = self._run
        try:
            await run.broker.listening()
        except NoRoom:
            run.count("full disk, and no room to open the store")
            self._ballast.drop()
            await run.broker.start()
            await run.broker.listening()

    async def _become_full(self, life: FullLife) -> None:
        run = self._run
        await asyncio.sleep(life.full_at)
        run.count("full disk")
        self._ballast.fill()
        await run.broker.says("no_space", run.session, _PATIENCE)
        await asyncio.sleep(life.full_for)
        if life.then_for is not None:
            self._ballast.drop()
            await run.broker.says("ok", run.session, _PATIENCE)
            await asyncio.sleep(life.then_for)

    async def _cut(self, every: float) -> None:
        """Repeats come in while commits fail."""
        while True:
            await asyncio.sleep(every)
            self._run.cut_all()
