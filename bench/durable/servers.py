"""The servers, each with its data in a directory of its own on the same disk, and pinned to the same core."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tickwire.core.limits import Limits
from tickwire.wire.encode import encode
from tickwire.wire.limits import VERSION
from tickwire.wire.messages import Welcome
from tickwire_bench import programs
from tickwire_bench.binaries import nats_server, redis_server, version_of
from tickwire_bench.processes import LISTENING, Server, free_port, started_server

_NATS, _REDIS = r"Server is ready", r"Ready to accept connections"


@dataclass(frozen=True, slots=True)
class Started(Server):
    """A server that listens, and its directory."""

    directory: Path


@contextmanager
def tickwire(directory: Path, *options: str) -> Iterator[Started]:
    """A broker on a data directory, with its default settings but for the options."""
    command = [sys.executable, "-m", "tickwire.server.cli", "serve", "--port", "0", "--data", str(directory), *options]
    with _started("tickwire", directory, command, LISTENING) as server:
        yield server


@contextmanager
def jetstream(directory: Path) -> Iterator[Started]:
    """NATS that syncs each message to its file before it acknowledges it."""
    port, file = free_port(), directory / "nats.conf"
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{directory}", sync_interval: always }}\n')
    with _started("jetstream", directory, [nats_server(), "-c", str(file)], _NATS, port) as server:
        yield server


@contextmanager
def redis(directory: Path) -> Iterator[Started]:
    """Redis that syncs its append-only file before it answers, and does neither snapshots nor rewrites meanwhile."""
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    settings = {"port": port, "bind": "127.0.0.1", "dir": directory, "appendonly": "yes", "appendfsync": "always"}
    settings |= {"save": "", "auto-aof-rewrite-percentage": 0, "daemonize": "no"}
    command = [redis_server(), *(part for key, value in settings.items() for part in (f"--{key}", str(value)))]
    with _started("redis", directory, command, _REDIS, port) as server:
        yield server


@contextmanager
def floor(directory: Path) -> Iterator[Started]:
    """A server in C that syncs what came to a file before it answers, and does nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    welcome = Welcome(VERSION, 1, 1, Limits().for_welcome(), {"ack": "disk", "server": "floor"})
    command = [str(programs.floor("durable")), str(directory / "frames"), encode(welcome).hex()]
    with _started("floor", directory, command, LISTENING) as server:
        yield server


def versions() -> dict[str, str]:
    """Of the servers that Tickwire is compared with, and of their clients."""
    servers = {name: version_of(path, "--version") for name, path in _PROGRAMS.items()}
    return servers | {package: version(package) for package in ("nats-py", "redis", "hiredis")}


def missing() -> list[str]:
    """What the comparison needs and this machine lacks."""
    return [name for name, path in _PROGRAMS.items() if not Path(path).exists()]


@contextmanager
def _started(name: str, directory: Path, command: Sequence[str], ready: str, port: int = 0) -> Iterator[Started]:
    with started_server(name, command, ready, port) as server:
        yield Started(server.name, server.pid, server.port, server.process, server.seconds, directory)


_PROGRAMS = {"nats-server": nats_server(), "redis-server": redis_server()}
