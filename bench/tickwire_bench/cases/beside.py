"""The same load on the broker, on a plain aiohttp broadcaster and on the floor in C, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tickwire_bench.cases.loads import DELIVERIES, LoadCase, Rows, Step, cpu, deliveries, start_broker
from tickwire_bench.figures.sheet import Goal, promised
from tickwire_bench.figures.unit import TIMES
from tickwire_bench.processes import Server, broadcaster, floor


def _broadcaster(_: Path) -> AbstractContextManager[Server]:
    return broadcaster()


def _floor(_: Path) -> AbstractContextManager[Server]:
    return floor()


def beside(
    key: str, title: str, readers: int, in_flight: int, batch: int, goal: float, of_floor: float | None = None
) -> LoadCase:
    """Promise so many times the broadcaster's deliveries a second, and at most that much of the floor's CPU.

    Only Tickwire has batches: the other two get one message a frame.
    """
    size = ("--readers", readers, "--in-flight", in_flight)

    def goals(rows: Rows) -> Iterator[Goal]:
        # Of runs that followed each other: machines change within minutes, so only neighbours compare.
        ours, theirs, beneath = rows["Tickwire"], rows["aiohttp broadcaster"], rows["floor, in C"]
        rates = [deliveries(a) / deliveries(b) for a, b in zip(ours, theirs, strict=True)]
        yield promised("deliveries a second by the broadcaster's", TIMES, rates, goal)
        cheaper = [cpu(b) / cpu(a) for a, b in zip(ours, theirs, strict=True) if cpu(a)]
        if cheaper:
            yield Goal(f"deliveries a CPU second by the broadcaster's: {TIMES.spread(cheaper)}")
        above = [cpu(a) / cpu(b) for a, b in zip(ours, beneath, strict=True) if cpu(b)]
        if above and of_floor is not None:
            yield promised("CPU of a delivery by the floor's", TIMES, above, of_floor, most=True)
        elif above:
            yield Goal(f"CPU of a delivery by the floor's: {TIMES.spread(above)}")

    return LoadCase(
        key,
        title,
        (
            Step("Tickwire", (*size, "--batch", batch), "tickwire"),
            Step("aiohttp broadcaster", (*size, "--mode", "raw"), "broadcaster"),
            Step("floor, in C", (*size, "--mode", "raw"), "floor"),
        ),
        servers={"tickwire": start_broker, "broadcaster": _broadcaster, "floor": _floor},
        goals=goals,
        bars=DELIVERIES,
    )
