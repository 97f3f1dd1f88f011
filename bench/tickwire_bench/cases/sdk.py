"""The Python SDK: reading and publishing alone on a core, and from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.cases.loads import disturbed
from tickwire_bench.figures.sheet import Sheet, promised
from tickwire_bench.figures.unit import MILLIONS, SHARE
from tickwire_bench.processes import (
    SERVER_CORE,
    Figures,
    broker,
    finished,
    first_line,
    readers_wait,
    started_client,
    started_load,
    unpin,
)

READER, PUBLISHER = "tickwire_bench.clients.reader", "tickwire_bench.clients.publisher"
IN_FLIGHT, BATCH = 8_192, 64


def reads(effort: Effort) -> Figures:
    """The SDK takes batches and decodes each message, alone on a core; broker and load tool share the other."""
    flight = ("--window", "credit", "--in-flight", IN_FLIGHT, "--batch", BATCH)
    options = ("--readers", 0, *flight, "--warmup", 0, "--duration", effort.seconds + 10)
    with broker() as server, started_client(READER, server.url, effort.seconds) as reader:
        first_line(reader, "the SDK's reader")
        with started_load(server, *options, core=SERVER_CORE):
            return finished(reader, "the SDK's reader")


def publishes(effort: Effort) -> Figures:
    """The SDK sends with publish_nowait, alone on a core; a reader beside the broker counts what came."""
    wanted = ("--readers", 1, "--publishers", 0, "--expect", effort.messages, "--warmup", 0, "--duration", 60)
    with broker() as server, started_load(server, *wanted, core=SERVER_CORE) as counter:
        readers_wait(counter)
        with started_client(PUBLISHER, server.url, effort.messages) as publisher:
            figures = finished(publisher, "the SDK's publisher")
        finished(counter, "the reader of what the SDK published")
        return figures


def through(effort: Effort) -> Figures:
    """From publish_nowait in one process to the decoded message in another; the system places all three."""
    with broker() as server, started_client(READER, server.url, effort.seconds, core=None) as reader:
        unpin(server)
        first_line(reader, "the SDK's reader")
        with started_client(PUBLISHER, server.url, 0, IN_FLIGHT, core=None):
            return finished(reader, "the SDK's reader")


@dataclass(frozen=True, slots=True)
class Sdk:
    """Three ways to use it, and what was promised of two of them."""

    key: str = "sdk"
    title: str = "The Python SDK, 64-byte messages, each encoded and decoded"

    def turns(self, effort: Effort) -> int:
        return effort.runs * len(_WAYS)

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        for _ in range(effort.runs):
            turns = {}
            for name, (run, _) in _WAYS.items():
                advance(f"{self.key}: {name}")
                turns[name] = run(effort)
            yield turns

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        sheet = Sheet(self.title, ["", "messages/s", "its core"])
        for name, (run, goal) in _WAYS.items():
            rates = [each[name]["messages_per_s"] for each in runs]
            shares = [each[name]["own_cpu_share"] for each in runs]
            sheet.rows.append([name, MILLIONS.spread(rates), SHARE.spread(shares)])
            if run is not through:  # there the three share two cores
                sheet.doubts += disturbed(name, [each[name]["own_wait_share"] for each in runs])
            if goal:
                sheet.goals.append(promised(name, MILLIONS, rates, goal))
        yield sheet


_WAYS: dict[str, tuple[Callable[[Effort], Figures], float | None]] = {
    "reads and decodes, in batches": (reads, 1_000_000),
    "publishes without waiting": (publishes, 500_000),
    "one publishes, another decodes": (through, None),
}
