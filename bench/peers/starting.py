"""The servers that take turns: each started once for a case, on the servers' core, and held still between its turns."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tickwire_bench import programs
from tickwire_bench.binaries import mosquitto, nats_server, node, redis_server, version_of
from tickwire_bench.processes import LISTENING, Server, broker_command, free_port, started_server

PROGRAMS = Path(__file__).parent / "servers"


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started, and what it says then. The port is 0 where it picks one and tells."""

    words: list[str]
    ready: str = LISTENING
    port: int = 0


@dataclass(frozen=True, slots=True)
class Contender:
    """One that takes turns: its name in tables, what the load tool speaks to it, how it starts, and which it is."""

    name: str
    dialect: str
    command: Callable[[Path], Command]
    version: Callable[[], str | None]  # None where it is not installed

    def compressing(self) -> Contender:
        """The same, told to compress. Tickwire and the floors need no telling: the client asks for it."""
        if self.dialect != "raw":
            return self

        def command(directory: Path) -> Command:
            plain = self.command(directory)
            return replace(plain, words=[*plain.words, "--compress"])

        return replace(self, command=command)

    @contextmanager
    def started(self, directory: Path) -> Iterator[Server]:
        """It listens, and does nothing until its turn."""
        directory.mkdir(parents=True, exist_ok=True)
        command = self.command(directory)
        with started_server(self.name, command.words, command.ready, command.port) as server:
            os.kill(server.pid, signal.SIGSTOP)
            try:
                yield server
            finally:
                os.kill(server.pid, signal.SIGCONT)


@contextmanager
def all_started(contenders: Sequence[Contender], directory: Path) -> Iterator[list[Server]]:
    """Each of them, in a directory of its own below that one."""
    with ExitStack() as stack:
        yield [stack.enter_context(each.started(directory / str(at))) for at, each in enumerate(contenders)]


@contextmanager
def awake(server: Server) -> Iterator[None]:
    """While it is its turn. A server that polls would otherwise take from the core that it shares."""
    os.kill(server.pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGSTOP)


def _tickwire(directory: Path) -> Command:
    return Command(broker_command())


def _floor(directory: Path) -> Command:
    return Command([str(programs.floor("fanout"))])


def _nats(directory: Path) -> Command:
    port, file = free_port(), directory / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\n')
    return Command([nats_server(), "-c", str(file)], "Server is ready", port)


def _nats_websocket(directory: Path) -> Command:
    port, file = free_port(), directory / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{free_port()}"\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n')
    return Command([nats_server(), "-c", str(file)], "Server is ready", port)


def _redis(directory: Path) -> Command:
    """Without snapshots, and without the limit at which it cuts off a subscriber that is slow."""
    port = free_port()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--appendonly", "no"]
    limit = ["--client-output-buffer-limit", "pubsub 0 0 0"]
    return Command([redis_server(), *settings, *limit], "Ready to accept connections", port)


def _mosquitto(directory: Path) -> Command:
    """Without the limit of 1,000 messages at which it drops what a subscriber is sent at QoS 0."""
    port, file = free_port(), directory / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    return Command([mosquitto(), "-c", str(file)], r"mosquitto version \S+ running", port)


def _program(name: str, *options: str) -> Callable[[Path], Command]:
    interpreter = node() if name.endswith(".mjs") else sys.executable
    return lambda directory: Command([interpreter, str(PROGRAMS / name), "--port", "0", *options])


def _installed(*command: str) -> Callable[[], str | None]:
    return lambda: version_of(*command) if Path(command[0]).exists() else None


def _package(name: str) -> Callable[[], str | None]:
    def told() -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return told


def _module(name: str) -> Callable[[], str | None]:
    folder = PROGRAMS / "node" / "node_modules" / name
    script = f"console.log(require({str(folder / 'package.json')!r}).version)"
    return lambda: version_of(node(), "-e", script) if folder.exists() and shutil.which(node()) else None


TICKWIRE = Contender("Tickwire", "wire", _tickwire, _package("tickwire"))
FLOOR_ITSELF = Contender("the floor, in C", "raw", _floor, lambda: "")
NATS = Contender("NATS", "nats", _nats, _installed(nats_server(), "--version"))
REDIS = Contender("Redis", "redis", _redis, _installed(redis_server(), "--version"))
PEERS = (
    NATS,
    Contender("NATS, WebSocket", "nats-websocket", _nats_websocket, _installed(nats_server(), "--version")),
    REDIS,
    Contender("mosquitto", "mqtt", _mosquitto, _installed(mosquitto(), "-h")),
    Contender("uWebSockets.js", "raw", _program("node/uws_server.mjs"), _module("uWebSockets.js")),
    Contender("socketify", "raw", _program("socketify_server.py"), _package("socketify")),
    Contender("picows", "raw", _program("picows_server.py"), _package("picows")),
    Contender("websockets", "raw", _program("websockets_server.py"), _package("websockets")),
    Contender("ws", "raw", _program("node/ws_server.mjs"), _module("ws")),
    Contender("Socket.IO", "socket.io", _program("node/socketio_server.mjs"), _module("socket.io")),
    Contender("python-socketio", "socket.io", _program("socketio_server.py"), _package("python-socketio")),
)
