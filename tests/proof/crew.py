"""The clients of a run, each a process: started, killed, started again, and told to finish."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .broker import environment

TOPICS = ["trades.a", "trades.b", "trades.c", "orders.new", "orders.old", "bulk"]
SIZES = [0, 8, 60, 60, 400]
GROUPS = {"billing": "orders.*", "audit": "trades.>"}
LIVE = {"screen": "trades.*"}


@dataclass
class Role:
    """One client, whatever process it is at the time."""

    module: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    mortal: bool = True  # whether it may be killed in between
    url: str | None = None  # where it finds the broker; None: where all do
    life: int = -1
    process: asyncio.subprocess.Process | None = None


def cast(per_second: float, ack_timeout: float, few: bool = False) -> list[Role]:
    """Publishers, readers, and processes that are members of every group: three of each, or two."""
    groups = {"groups": GROUPS, "live": LIVE, "ack_timeout": ack_timeout}
    trades = [topic for topic in TOPICS if topic.startswith("trades.")]
    publishers = [
        Role("publisher", f"p{i}", {"topics": TOPICS[:-1], "per_second": per_second, "sizes": SIZES}) for i in (1, 2, 3)
    ]
    consumers = [Role("consumer", f"c{i}", groups) for i in (1, 2, 3)]
    readers = [
        Role("reader", "all", {"pattern": ">", "topics": TOPICS, "resumes": False}, mortal=False),
        Role("reader", "trades", {"pattern": "trades.*", "topics": trades, "resumes": False}, mortal=False),
        Role("reader", "one", {"pattern": "trades.a", "topics": ["trades.a"], "resumes": True}),
    ]
    if few:
        return [*publishers[1:], *readers[::2], *consumers[1:]]
    return [*publishers, *readers, *consumers]


def hog(per_second: float, url: str) -> Role:
    """A publisher that fills a disk, past the proxy."""
    options = {"topics": ["bulk"], "per_second": per_second, "sizes": [100_000]}
    return Role("publisher", "hog", options, mortal=False, url=url)


class Crew:
    """All the clients. Their records are in the folder, and what they say is in its `clients.log`."""

    def __init__(self, roles: list[Role], url: str, folder: Path, seed: int) -> None:
        self.roles, self._url, self._folder, self._seed = roles, url, folder, seed
        self.deaths = 0

    async def start(self) -> None:
        await asyncio.gather(*map(self._start, self.roles))

    async def add(self, role: Role) -> None:
        self.roles.append(role)
        await self._start(role)

    async def kill_one(self, which: float) -> None:
        """Kill -9 one that may be, and start it again; `which` is from 0 to 1."""
        mortals = [role for role in self.roles if role.mortal]
        role = mortals[int(which * len(mortals))]
        await self._end(role)
        await self._start(role)
        self.deaths += 1

    async def finish(self, module: str, ends: dict[str, int], seconds: float) -> list[str]:
        """Tell those of one kind to finish, and wait for them. Returns the names of those that did not in time."""
        roles = [role for role in self.roles if role.module == module]
        for role in roles:
            self.tell(role, ends)
        waiting = {asyncio.create_task(role.process.wait()): role for role in roles if role.process}
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for task in late:
            task.cancel()
        return [waiting[task].name for task in late]

    def tell(self, role: Role, ends: dict[str, int]) -> None:
        if role.process is not None and role.process.stdin is not None:
            role.process.stdin.write(json.dumps(ends).encode() + b"\n")

    def fallen(self) -> list[str]:
        """Who ended, though nobody had told it to."""
        return [f"{role.name}.{role.life}" for role in self.roles if role.process and role.process.returncode]

    async def stop(self) -> None:
        for role in self.roles:
            await self._end(role)

    async def _start(self, role: Role) -> None:
        role.life += 1
        given = {
            "name": role.name,
            "life": role.life,
            "url": role.url or self._url,
            "folder": str(self._folder),
            "seed": self._seed,
            "options": role.options,
        }
        with (self._folder / "clients.log").open("ab") as log:
            role.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"proof.{role.module}",
                json.dumps(given),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(),
            )

    async def _end(self, role: Role) -> None:
        # Out of its role first: who looks for the fallen meanwhile is not to find one that we have killed.
        process, role.process = role.process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
