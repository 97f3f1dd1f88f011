"""A reader a million messages behind catches up from the disk: what that costs those who are live, and the memory."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from durable import servers
from tickwire_bench import meters
from tickwire_bench.history import History
from tickwire_bench.processes import Figures, Server, finished, first_line, load, started_client, started_load

READERS, RATE = 100, 200  # 20,000 deliveries a second
FACTOR, MORE_MS = 1.5, 5.0  # what the p99 of the live readers may become


@dataclass(frozen=True, slots=True)
class Effort:
    """How many pairs of before and during, and how long each of the two is."""

    rounds: int
    seconds: float
    warmup: float = 1.0


def measure(history: History, effort: Effort, advance: Callable[[str], None]) -> Iterator[Figures]:
    """Give each round's figures of the live readers before and during, of the catch-up, and of the broker's memory.

    The broker was started on the directory, so it has nothing of the history in its memory when the first one begins.
    """
    with servers.tickwire(history.directory, "--connections-per-ip", str(READERS + 100)) as server:
        for _ in range(effort.rounds):
            advance("live readers alone")
            before = load(server, *_live(effort), alone=False)
            advance("live readers, and one that catches up")
            yield {"before": before, **_during(server, history, effort)}


def allowed_ms(before_ms: float) -> float:
    """The p99 that was promised, from the one before: at most 1.5 times, and 5 ms more."""
    return FACTOR * before_ms + MORE_MS


def _live(effort: Effort) -> list[object]:
    return ["--readers", READERS, "--rate", RATE, "--duration", effort.seconds, "--warmup", effort.warmup]


def _during(server: Server, history: History, effort: Effort) -> Figures:
    asked = (server.url, history.deep, history.per_topic, effort.seconds)
    with started_client("tickwire_bench.clients.catching_up", *asked) as reader:
        first_line(reader, "the reader that is behind")
        meters.reset_peak(server.pid)
        memory = server.rss()
        with started_load(server, *_live(effort), alone=False) as live:
            time.sleep(effort.warmup)
            reader.send_signal(signal.SIGUSR1)
            during = finished(live, "the live readers")
        caught_up = finished(reader, "the reader that is behind")
        return {"during": during, **caught_up, "rss_before": memory, "rss_peak": meters.peak_resident(server.pid)}
