"""The broker of a run: one process after another on the same port and the same directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import aiohttp

TESTS = Path(__file__).parent.parent
READY_SECONDS = 30.0
GLANCE_SECONDS = 0.05
# The first is what SQLite calls to be safe, the second how it and the journal write, the third the journal alone, whose
# writes are synced by themselves, and the fourth how the event loop sends.
CALLS = {
    "at an fsync": "fdatasync,fsync",
    "at a write": "pwrite64",
    "at a commit": "pwrite64",
    "at a send": "write,writev,sendto,sendmsg",
}

_REPEATS = re.compile(rb"^tickwire_repeats_total ([0-9.e+]+)$", re.MULTILINE)


def environment() -> dict[str, str]:
    """That of this process, with the tests to import from."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def can_trace() -> bool:
    """Whether a process can be killed at a system call. Where not, it is killed at random instead."""
    return shutil.which("strace") is not None


class RunFailed(Exception):
    """A process did not come up, or it ended by itself: nobody had killed it."""


class NoRoom(RunFailed):
    """It refused to open its store, since the disk is full."""


class Broker:
    """Where the broker is, whatever process it is at the time."""

    def __init__(self, port: int, store: Path | None, clock: Path, log: Path) -> None:
        self.port, self.store = port, store  # None: in memory
        self.repeats = 0.0
        self._clock, self._log = clock, log
        self._process: asyncio.subprocess.Process | None = None
        self._repeats_before = 0.0

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, end: str = "", nth: int = 0) -> None:
        """Start a process that is killed on entering the n-th call of its kind, where `end` is one of CALLS."""
        self._repeats_before = self.repeats
        tracer: list[str] = []
        if can_trace() and (calls := CALLS.get(end)):
            # -D: the broker is our child and the tracer is not, so that a signal to the child reaches the broker.
            injection = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={nth}"]
            only = ["-P", str(self.store / "journal")] if end == "at a commit" and self.store is not None else []
            tracer = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", *injection, *only]
        command = [sys.executable, "-m", "proof.skewed", str(self._clock), "serve"]
        flags = ["--port", str(self.port)]
        if self.store is not None:
            # Little in memory, so that whoever was away reads from the disk.
            flags += ["--data", str(self.store), "--retain-bytes", "64 KiB"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tracer,
                *command,
                *flags,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(),
            )

    async def listening(self) -> bool:
        """Wait until it listens. False where it was killed before; raises RunFailed where it gave up."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await self.process.stdout.readline()
        except TimeoutError:
            raise RunFailed(f"the broker does not listen after {READY_SECONDS:g} seconds") from None
        if line.startswith(b"listening on"):
            return True
        await self.ended()
        return False

    async def ended(self) -> None:
        """Wait for its end. Raises RunFailed unless it was killed or stopped."""
        code = await self.process.wait()
        if code not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
            full = b"its disk is full" in self._log.read_bytes()[-300:]
            raise (NoRoom if full else RunFailed)(f"the broker ended by itself with {code}; its log is {self._log}")

    async def kill(self) -> None:
        if self.alive:
            self.process.kill()
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def scrape(self, session: aiohttp.ClientSession) -> None:
        """Ask for its metrics; what it had dropped when it was last asked counts."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            timeout = aiohttp.ClientTimeout(total=0.5)
            async with session.get(f"http://127.0.0.1:{self.port}/metrics", timeout=timeout) as response:
                if found := _REPEATS.search(await response.read()):
                    self.repeats = max(self.repeats, self._repeats_before + float(found[1]))

    async def says(self, status: str, session: aiohttp.ClientSession, seconds: float) -> None:
        """Wait until its health is so. Raises RunFailed where it is not in time."""
        for _ in range(int(seconds / GLANCE_SECONDS)):
            if await self._health(session) == status:
                return
            await asyncio.sleep(GLANCE_SECONDS)
        raise RunFailed(f"the health of the broker was not {status!r} within {seconds:g} seconds")

    async def _health(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/health") as response:
                return str((await response.json())["status"])
        except (aiohttp.ClientError, OSError):
            return "nobody is there"
