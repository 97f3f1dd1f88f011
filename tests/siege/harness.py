"""A broker under siege: a real process, somebody beside it who is to notice nothing, and what it must give back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

P99_MS = 100.0  # of the bystander, at most
SETTLED = 10.0  # seconds within which descriptors and memory have come back
MEMORY = 48 << 20  # bytes that the allocator may keep
TESTS = Path(__file__).parent.parent


@dataclass
class Siege:
    broker: psutil.Process
    bystander: subprocess.Popen[str]
    url: str
    descriptors: int
    memory: int

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def report(self) -> dict[str, Any]:
        """What became of the bystander since it began."""
        assert self.bystander.stdin is not None
        assert self.bystander.stdout is not None
        self.bystander.stdin.write("\n")
        self.bystander.stdin.flush()
        line = self.bystander.stdout.readline()
        assert line, "the bystander has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def stands(self) -> dict[str, Any]:
        """Assert that the process is the same, the bystander lost nothing, and what was taken came back."""
        assert self.broker.is_running()
        found = self.report()
        assert (found["lost"], found["reconnected"]) == (0, 0), found
        deadline = time.monotonic() + SETTLED
        while (left := self._left_over()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, left
        return found

    def goes_on(self, before: int) -> None:
        """Wait until the bystander has had more than so many messages."""
        deadline = time.monotonic() + SETTLED
        while self.report()["got"] <= before:
            assert time.monotonic() < deadline, "the bystander gets no more"
            time.sleep(0.01)

    def _left_over(self) -> str:
        descriptors, memory = self.broker.num_fds(), self.broker.memory_info().rss
        if descriptors > self.descriptors:
            return f"{descriptors - self.descriptors} descriptors more than before"
        if memory > self.memory + MEMORY:
            return f"{(memory - self.memory) >> 20} MiB more than before"
        return ""


@contextlib.contextmanager
def besieged(*flags: str, open_files: int | None = None, token: str = "") -> Iterator[Siege]:
    """A broker with a bystander, who shows a token where it has one. With `open_files` it may have no more of them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    environment["PYTHONPATH"] = str(TESTS)
    limited = [] if open_files is None else ["prlimit", f"--nofile={open_files}:{open_files}"]
    serve = [*limited, sys.executable, "-m", "tickwire", "serve", "--port", "0", "--log-level", "error", *flags]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as broker:
        try:
            assert broker.stdout is not None
            url = broker.stdout.readline().split()[-1]
            watch = [sys.executable, "-m", "siege.bystander", url, "bystander", *([token] if token else [])]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            with subprocess.Popen(watch, text=True, env=environment, **pipes) as bystander:  # type: ignore[call-overload]
                try:
                    assert bystander.stdout.readline() == "ready\n"
                    process = psutil.Process(broker.pid)
                    time.sleep(0.5)
                    yield Siege(process, bystander, url, process.num_fds(), process.memory_info().rss)
                finally:
                    bystander.kill()
        finally:
            broker.kill()
