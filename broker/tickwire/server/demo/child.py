"""A process of the demo, and the lines of JSON that go both ways between it and the main one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

# So that the end of the main process, however it comes, is the end of its children: they watch their standard input.
STOP_SECONDS = 5.0


class Child:
    """One process, seen from the main one. `tell` and `hear` are its two directions."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str, *arguments: object) -> Child:
        """Run a module of this package. It is in a session of its own, so Ctrl-C reaches the main process only."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"{__package__}.{module}",
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=16 << 20,
        )
        return cls(process)

    def tell(self, **facts: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(facts).encode() + b"\n")

    async def hear(self) -> dict[str, Any] | None:
        """The next line; None when the process has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line else None

    async def stop(self) -> None:
        """Let it end by itself, and make it where it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            return
        self._process.kill()
        await self._process.wait()


def say(**facts: Any) -> None:
    """From a child to the main process."""
    print(json.dumps(facts), flush=True)


async def told() -> AsyncIterator[dict[str, Any]]:
    """What the main process tells a child, until it ends or closes the line."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while line := await reader.readline():
            yield dict(json.loads(line))
    finally:
        transport.close()
