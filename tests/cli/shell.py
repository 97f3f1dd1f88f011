"""The command as a real process: run to its end, or kept while a test talks to it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECONDS = 30.0
COMMAND = (sys.executable, "-m", "tickwire.server.cli")


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    return {**kept, **variables}


def tickwire(*arguments: str, stdin: str = "", **variables: str) -> Ended:
    """Run a command to its end."""
    ended = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(**variables),
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class Running:
    """A command that runs; what it says is read a line at a time, within bounded time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._rest = {"stdout": b"", "stderr": b""}

    def out(self) -> str:
        return self._line("stdout")

    def err(self) -> str:
        return self._line("stderr")

    def err_until(self, part: str) -> str:
        """The first line on standard error that holds this."""
        while part not in (line := self.err()):
            assert line, f"standard error ended before {part!r} was said"
        return line

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(SECONDS)

    def _line(self, name: str) -> str:
        """The next line without its end; empty when the stream has ended."""
        stream = getattr(self.process, name)
        deadline = time.monotonic() + SECONDS
        while b"\n" not in self._rest[name]:
            with selectors.DefaultSelector() as selector:
                selector.register(stream, selectors.EVENT_READ)
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"nothing on {name} for {SECONDS} seconds; so far {self._rest[name]!r}")
            block = os.read(stream.fileno(), 65536)
            if not block:
                return ""
            self._rest[name] += block
        line, _, self._rest[name] = self._rest[name].partition(b"\n")
        return line.decode()


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[Running]:
    """A command while the block lasts."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
    )
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


@contextmanager
def broker(port: int = 0, *arguments: str) -> Iterator[tuple[Running, str]]:
    """`tickwire serve`, and the address that it says."""
    with running("serve", "--port", str(port), *arguments) as serve:
        line = serve.out()
        assert line.startswith("listening on ws://"), line or serve.err()
        yield serve, line.removeprefix("listening on ")
