"""The processes of a bench: servers and clients, each pinned to its core, and the load tool's figures."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tickwire_bench import programs

STARTING_S, STOPPING_S = 60.0, 12.0  # the library websockets waits 10 s for clients that do not say goodbye
LISTENING = r"listening on ws://\S+:(\d+)/ws"
DESCRIPTORS = 5_100  # that the cases with the most connections need
CONNECTIONS = 30_000  # the broker's cap per address: all readers come from one

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]

Figures = dict[str, Any]


class RunFailed(Exception):
    """A process of the bench ended badly, or a message was lost: there are no figures. The text says which and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    name: str
    pid: int
    port: int
    process: subprocess.Popen[bytes]
    seconds: float  # from its start until it said so

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) << 10

    def kill(self) -> None:
        """kill -9: it has no time to write anything."""
        self.process.kill()
        self.process.wait()


def prepare() -> None:
    """For a program that starts many: children inherit the limit on descriptors, and each connection needs one.

    On SIGTERM and SIGHUP, as on an interrupt, what was started is ended, and what was written for it removed.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        print(
            f"at most {hard:,} files may be open: cases with as many connections will fail (ulimit -Hn)",
            file=sys.stderr,
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)


class Ended(KeyboardInterrupt):
    """A signal other than the interrupt has asked for the end, which is the same end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(end: KeyboardInterrupt) -> int:
    """That of a program which a signal has ended."""
    return 128 + (end.number if isinstance(end, Ended) else signal.SIGINT)


def _unwind(number: int, _: FrameType | None) -> NoReturn:
    raise Ended(number)


@contextmanager
def broker(*options: object) -> Iterator[Server]:
    """A Tickwire broker with its default settings, but for the cap on connections from one address and `options`."""
    with started_server("tickwire", broker_command(*options)) as server:
        yield server


def broker_command(*options: object) -> list[str]:
    """How a broker is started that picks its port."""
    # All come from one address, and at once.
    open_door = ("--connections-per-ip", CONNECTIONS, "--connects-per-second", "0")
    command = [sys.executable, "-m", "tickwire", "serve", "--port", "0", *open_door, *options]
    return [str(word) for word in command]


@contextmanager
def broadcaster() -> Iterator[Server]:
    """The plain aiohttp broadcaster."""
    command = [sys.executable, "-m", "tickwire_bench.broadcaster", "--port", "0"]
    with started_server("broadcaster", command) as server:
        yield server


@contextmanager
def floor() -> Iterator[Server]:
    """A server in C that does the system calls of a fan-out, and nothing else."""
    with started_server("floor", [str(programs.floor("fanout"))]) as server:
        yield server


def load(server: Server, *options: object, alone: bool = True) -> Figures:
    """Run the load tool to its end, on its core. Raises RunFailed with its sentence."""
    with started_load(server, *options, alone=alone) as process:
        return finished(process, f"load on {server.name}")


@contextmanager
def started_load(
    server: Server, *options: object, core: int = LOAD_CORE, alone: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """The load tool while it runs: it prints one line of JSON. Where it has a core alone it does not sleep there."""
    polls = ["--poll"] if alone and core != SERVER_CORE else []
    arguments = ["--port", server.port, "--server-pid", server.pid, "--json", *polls, *options]
    with _started(core, [str(programs.load()), *map(str, arguments)]) as process:
        yield process


@contextmanager
def started_client(module: str, *arguments: object, core: int | None = LOAD_CORE) -> Iterator[subprocess.Popen[str]]:
    """A client in Python while it runs: it prints "ready", then one line of JSON. Without a core it may use all."""
    with _started(core, [sys.executable, "-m", module, *map(str, arguments)]) as process:
        yield process


def readers_wait(process: subprocess.Popen[str]) -> None:
    """Until the load tool, started without publishers, says that all its readers are subscribed."""
    assert process.stderr is not None
    if not process.stderr.readline().startswith("load: readers waiting"):
        finished(process, "readers of somebody else's messages")


def first_line(process: subprocess.Popen[str], what: str) -> str:
    """Wait for a line of its output. Raises RunFailed where it ends before."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        finished(process, what)
        raise RunFailed(f"{what} ended without a word")
    return line.strip()


def finished(process: subprocess.Popen[str], what: str, timeout: float = 180) -> Figures:
    """The figures that it printed last. Raises RunFailed where it did not end well."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{what} was not done after {timeout:.0f} s") from None
    if process.returncode:
        raise RunFailed(f"{what}: {last_line(errors) or f'exit code {process.returncode}'}")
    figures: Figures = json.loads(last_line(output) or "{}")
    return figures


@contextmanager
def started_server(name: str, command: Sequence[str], ready: str = LISTENING, port: int = 0) -> Iterator[Server]:
    """A server once it has said what matches `ready`; there its port stands, where it is not known before."""
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        with on_core(SERVER_CORE):
            process = subprocess.Popen(_tied(command), stdout=log, stderr=log)
        try:
            found = _said_ready(process, log.fileno(), name, ready)
            yield Server(name, process.pid, port or int(found[1]), process, time.perf_counter() - start)
        finally:
            stop(process)


def free_port() -> int:
    """For a server that cannot be told to pick one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _said_ready(process: subprocess.Popen[bytes], log: int, name: str, ready: str) -> re.Match[str]:
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline:
        said = os.pread(log, 1 << 20, 0).decode(errors="replace")
        if found := re.search(ready, said):
            return found
        if process.poll() is not None:
            raise RunFailed(f"{name} did not start: {last_line(said)}")
        time.sleep(0.005)
    raise RunFailed(f"{name} did not listen within {STARTING_S:.0f} s")


@contextmanager
def _started(core: int | None, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with on_core(core):
        process = subprocess.Popen(_tied(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        stop(process)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def _tied(command: Sequence[str]) -> list[str]:
    """The command as one that the system kills where the bench is killed (prctl(2), PR_SET_PDEATHSIG).

    A program does it and not a `preexec_fn`: Python runs the hooks of `os.fork` for one, and a KeyboardInterrupt in
    those is told on stderr and forgotten.
    """
    if sys.platform != "linux":
        return list(command)
    return [str(programs.tied()), str(os.getpid()), *command]


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started within inherits the core, so that its first instruction runs there already."""
    os.sched_setaffinity(0, _CORES if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, _CORES)


def unpin(server: Server) -> None:
    """Let all its threads use all cores."""
    for thread in Path(f"/proc/{server.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), _CORES)


def stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOPPING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
