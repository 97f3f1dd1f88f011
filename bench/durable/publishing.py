"""Acknowledged publishing, in turns: the same publishers at each server, at the floor, and the disk alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from durable import disk, servers
from durable.publisher import Asked
from durable.senders import (
    prepare_jetstream,
    stored_in_jetstream,
    stored_in_redis,
    stored_in_tickwire,
)
from durable.workloads import Case
from tickwire_bench.processes import Figures, RunFailed, finished, started_client

Advance = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How many rounds, and how long one server's turn is."""

    rounds: int
    seconds: float
    warmup: float


def measure(case: Case, effort: Effort, directory: Path, advance: Advance) -> Iterator[Figures]:
    """Give the figures of each round: one turn of each server and of the floor, then the disk alone.

    Raises RunFailed where a server does not have what it acknowledged, all of it and nothing else.
    """
    with ExitStack() as stack:
        started = {name: stack.enter_context(start(directory / name)) for name, start in _SERVERS.items()}
        asyncio.run(prepare_jetstream(started["jetstream"].port))
        acknowledged = dict.fromkeys(started, 0)
        quiet = disk.Quiet(directory)
        for _ in range(effort.rounds):
            turns: Figures = {}
            for turn in case.turns:
                advance(f"{case.key}: {turn}")
                server = started[turn.partition("-")[0]]
                quiet.wait()
                turns[turn] = _turn(turn, server, case, effort)
                acknowledged[server.name] += turns[turn]["acknowledged"]
            advance(f"{case.key}: the disk alone")
            quiet.wait()
            turns["disk"] = disk.measure(directory, effort.seconds / 2)
            yield turns
        advance(f"{case.key}: counting what is stored")
        for name, stored in _STORED.items():
            _check(name, acknowledged[name], asyncio.run(stored(started[name].port)))


def turns_of(case: Case, effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return effort.rounds * (len(case.turns) + 1) + 1


def _turn(turn: str, server: servers.Started, case: Case, effort: Effort) -> Figures:
    asked = Asked(
        server=turn,
        port=server.port,
        pid=server.pid,
        directory=str(server.directory),
        publishers=case.publishers,
        payload=case.payload,
        batched=case.batched,
        in_flight=case.in_flight,
        noise=case.noise,
        seconds=effort.seconds,
        warmup=effort.warmup,
    )
    with started_client("durable.publisher", json.dumps(asdict(asked))) as load:
        return finished(load, f"publishers of {turn}", timeout=effort.seconds + effort.warmup + 60)


def _check(name: str, acknowledged: int, stored: int) -> None:
    if stored != acknowledged:
        raise RunFailed(f"{name} acknowledged {acknowledged:,} messages and has {stored:,}")


_SERVERS: dict[str, Callable[[Path], AbstractContextManager[servers.Started]]] = {
    "tickwire": servers.tickwire,
    "jetstream": servers.jetstream,
    "redis": servers.redis,
    "floor": servers.floor,
}
_STORED = {"tickwire": stored_in_tickwire, "jetstream": stored_in_jetstream, "redis": stored_in_redis}
