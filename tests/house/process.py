"""A broker in a process of its own, for what must be seen from outside: memory, CPU time, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path


class BrokerProcess:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url, self.pid = process, url, process.pid

    def cpu_ms(self) -> float:
        """CPU time of its main thread so far. Unlike time on the wall, other processes do not lengthen it."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e6

    def resident(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def broker_process(*flags: str, port: int = 0) -> AsyncIterator[BrokerProcess]:
    """`tickwire serve` with flags, until the block ends."""
    command = (sys.executable, "-m", "tickwire.server.cli", "serve", "--port", str(port), *flags)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        match = re.match(r"listening on (wss?://\S+)", line)
        assert match, f"the broker said {line!r}"
        yield BrokerProcess(process, match[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
