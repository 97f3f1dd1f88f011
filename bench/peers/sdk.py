"""From one Python client to another: what a user of the SDK has of it, beside nats-py and redis-py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from peers.cases import Round, failed
from peers.running import Advance, Effort
from peers.starting import NATS, REDIS, TICKWIRE, Contender, all_started, awake
from tickwire_bench.figures.sheet import Goal, Sheet, promised
from tickwire_bench.figures.unit import SHARE, THOUSANDS, TIMES
from tickwire_bench.processes import RunFailed, Server, finished, first_line, started_client, unpin

KEY = "sdk"
TITLE = "From client to client in Python: 64-byte messages, each encoded, published, received and decoded"
IN_FLIGHT = 8_192  # messages
GATE, GOAL = 5.0, 10.0  # times the messages a second of the best of the others, at least
NOTE = """\
Three processes on two cores, placed by the system, without compression. All of them on uvloop and with msgpack. What
is in flight is told by the reader through the broker. Tickwire: `publish_nowait` and `batches()`; nats-py: `publish`
and a callback; redis-py with hiredis: `publish`, alone or 512 in a pipeline, and `listen()`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A client that publishes, one that reads, and what is between them."""

    name: str
    broker: Contender
    reader: Callable[[Server, float], Sequence[object]]
    publisher: Callable[[Server], Sequence[object]]


def _ours(module: str, *arguments: object) -> Sequence[object]:
    return (f"tickwire_bench.clients.{module}", *arguments)


def _theirs(module: str, role: str, server: Server, amount: object) -> Sequence[object]:
    return (f"peers.clients.{module}", role, server.port, amount)


PAIRS = (
    Pair(
        "Tickwire",
        TICKWIRE,
        lambda server, seconds: _ours("reader", server.url, seconds),
        lambda server: _ours("publisher", server.url, 0, IN_FLIGHT),
    ),
    Pair(
        "nats-py",
        NATS,
        lambda server, seconds: _theirs("nats_py", "read", server, seconds),
        lambda server: _theirs("nats_py", "publish", server, IN_FLIGHT),
    ),
    Pair(
        "redis-py, in pipelines",
        REDIS,
        lambda server, seconds: _theirs("redis_py", "read", server, seconds),
        lambda server: _theirs("redis_py", "publish-piped", server, IN_FLIGHT),
    ),
    Pair(
        "redis-py",
        REDIS,
        lambda server, seconds: _theirs("redis_py", "read", server, seconds),
        lambda server: _theirs("redis_py", "publish", server, IN_FLIGHT),
    ),
)


def pairs(peers: Sequence[Contender]) -> list[Pair]:
    """Ours, and those whose broker takes part."""
    return [pair for pair in PAIRS if pair.broker is TICKWIRE or pair.broker in peers]


def turns(peers: Sequence[Contender], effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return effort.rounds * len(pairs(peers))


def measure(peers: Sequence[Contender], effort: Effort, directory: Path, advance: Advance) -> Iterator[Round]:
    """Give what each round came to. Where Tickwire loses a message, RunFailed."""
    taking_part = pairs(peers)
    with all_started([pair.broker for pair in taking_part], directory / KEY) as servers:
        for _ in range(effort.rounds):
            round: Round = {}
            for pair, server in zip(taking_part, servers, strict=True):
                advance(f"{KEY}: {pair.name}")
                try:
                    with awake(server), _running(pair, server, effort.seconds) as reader:
                        round[pair.name] = finished(reader, f"the reader of {pair.name}", 60)
                except RunFailed as failure:
                    if pair.broker is TICKWIRE:
                        raise
                    round[pair.name] = {"failed": str(failure)}
            yield round


@contextmanager
def _running(pair: Pair, server: Server, seconds: float) -> Iterator[subprocess.Popen[str]]:
    unpin(server)
    module, *asked = pair.reader(server, seconds)
    with started_client(str(module), *asked, core=None) as reader:
        first_line(reader, f"the reader of {pair.name}")
        module, *asked = pair.publisher(server)
        with started_client(str(module), *asked, core=None):
            yield reader


def sheet(rounds: list[Round]) -> Sheet:
    """Who is how fast, the fastest first."""
    ours = [round[TICKWIRE.name]["messages_per_s"] for round in rounds]
    found = Sheet(TITLE, ["", "messages/s", "core of the reader", "Tickwire has"], note=NOTE)
    rows: list[tuple[float, list[str]]] = []
    for name in rounds[0]:
        runs = [round[name] for round in rounds]
        if (why := failed(rounds, name)) is not None:
            rows.append((0, [name, f"failed: {why}", "", ""]))
            continue
        rates = [run["messages_per_s"] for run in runs]
        ratio = "" if name == TICKWIRE.name else TIMES.show(median(a / b for a, b in zip(ours, rates, strict=True)))
        shares = SHARE.show(median(run["own_cpu_share"] for run in runs))
        rows.append((median(rates), [name, THOUSANDS.spread(rates), shares, ratio]))
    rows.sort(key=lambda row: -row[0])
    found.rows, found.bars = [row for _, row in rows], [rate for rate, _ in rows]
    found.goals = list(goals(rounds))
    return found


def goals(rounds: list[Round]) -> Iterator[Goal]:
    """Beside the best of the others in the same round."""
    others = [name for name in rounds[0] if name != TICKWIRE.name and failed(rounds, name) is None]
    if others:
        ratios = [
            round[TICKWIRE.name]["messages_per_s"] / max(round[name]["messages_per_s"] for name in others)
            for round in rounds
        ]
        yield promised("messages a second by those of the best of the others", TIMES, ratios, GATE, GOAL)
