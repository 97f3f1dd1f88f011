"""An engine with sessions and peers, none of which has a connection, for the workloads that need one."""

from __future__ import annotations

import random
import socket
import weakref
from typing import Any

from tickwire.core.engine import Engine
from tickwire.core.limits import Limits
from tickwire.core.session import Session
from tickwire.fanout.frame import Deflater
from tickwire.fanout.peer import Peer
from tickwire.store.memory import MemoryStore
from tickwire.wire.encode import encode
from tickwire.wire.messages import Hello, Subscribe

NOW, TIME_US = 1_000.0, 1_700_000_000_000_000


class House:
    """An engine in memory with a publisher, and readers of one topic or of many.

    With `sockets` what they are due may go straight into one: it is one for all, which takes everything and keeps none.
    """

    def __init__(self, deflater: Deflater | None = None, sockets: bool = False, guarded: bool = False) -> None:
        """Where it is `guarded`, everybody is known, has rights by topic, and rates that are never reached."""
        self.written = 0
        self._guarded = guarded
        self._drain = _drain() if sockets and hasattr(Peer, "open_socket") else None
        for end in self._drain or ():
            weakref.finalize(self, end.close)
        self.engine = Engine(_bounded() if guarded else Limits(), MemoryStore(), deflater)
        self._ids = 0

    def session(self, inflates: bool = False) -> Session:
        self._ids += 1
        peer = Peer(self._ids, self._write, lambda: 0, inflates)
        if self._drain is not None:
            peer.open_socket(self._drain[0].fileno())
        session = Session(self.engine, peer)
        session.receive(encode(Hello(publisher=f"p{self._ids}", incarnation=1)), NOW)
        if self._guarded:
            session.become(_somebody(), NOW)
        self.flush()
        return session

    def flush(self) -> None:
        self.engine.flush(NOW, TIME_US)

    def _write(self, data: bytes | memoryview) -> None:
        self.written += len(data)


def _bounded() -> Limits:
    from tickwire.core.rates import Rates  # here, since a tree that is compared with may not have it

    rates = Rates(frames=1e9, messages=1e9, bytes=1e12, subscriptions=1e9)
    return Limits(rates=rates, subject_rates=rates)


def _somebody() -> Any:
    from tickwire.core.rights import Identity

    return Identity.of("somebody", publish=["prices.>", "from.somebody"], subscribe=["prices.>"], consume=["prices.>"])


def _drain() -> tuple[socket.socket, socket.socket]:
    """A socket that takes whatever is sent, and where that goes and is dropped. Nothing is read there."""
    here, there = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    there.bind(("127.0.0.1", 0))
    here.connect(there.getsockname())
    return here, there


def readers(house: House, count: int, patterns: list[str], inflates: bool = False) -> None:
    chosen = random.Random(7)
    for _ in range(count):
        session = house.session(inflates)
        for id, pattern in enumerate(chosen.sample(patterns, min(len(patterns), 20))):
            session.receive(encode(Subscribe(id, pattern)), NOW)
    house.flush()
