"""What a connection costs: memory while it is idle, and a storm in which all come back at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.cases.loads import disturbed
from tickwire_bench.figures.sheet import Sheet, promised
from tickwire_bench.figures.unit import KIB, SECONDS, SHARE, THOUSANDS, US
from tickwire_bench.processes import Figures, Server, broker, first_line, load, started_load

FEW = 200  # connections that are there before the others are counted: what a first one costs is not in the slope
SETTLING_S = 1.5
IDLE, BACK_S, BACK_GOAL_S = 14 << 10, 4.0, 1.0
KINDS = {"plain": (), "permessage-deflate negotiated": ("--deflate",)}


@dataclass(frozen=True, slots=True)
class IdleConnections:
    """Resident memory of the broker for one more connection that has said hello and subscribed: a slope."""

    key: str = "idle"
    title: str = "Idle connections: hello said, one subscription"

    def turns(self, effort: Effort) -> int:
        return effort.few * len(KINDS)

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        for _ in range(effort.few):
            yield {kind: self._slope(kind, effort, advance) for kind in KINDS}

    def _slope(self, kind: str, effort: Effort, advance: Advance) -> float:
        advance(f"{self.key}: {kind}")
        with broker() as server:
            return idle_bytes(server, effort.connections, *KINDS[kind])

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        sheet = Sheet(self.title, ["", "resident in the broker, each"])
        for kind in KINDS:
            sizes = [run[kind] for run in runs]
            sheet.rows.append([kind, KIB.spread(sizes)])
            sheet.goals.append(promised(kind, KIB, sizes, IDLE, 8 << 10, most=True))
        sheet.note = "What the kernel keeps for a socket, some KiB more, is not in it."
        yield sheet


def idle_bytes(server: Server, connections: int, *options: object) -> float:
    """What each of so many connections adds to the resident memory of a server that has none: a slope."""
    with ExitStack() as held:
        few = _resident_with(server, held, FEW, *options)
        return (_resident_with(server, held, connections - FEW, *options) - few) / (connections - FEW)


def _resident_with(server: Server, held: ExitStack, connections: int, *options: object) -> int:
    opening = started_load(server, "--idle", connections, "--duration", 300, *options)
    first_line(held.enter_context(opening), f"opening idle connections to {server.name}")
    time.sleep(SETTLING_S)
    return server.rss()


@dataclass(frozen=True, slots=True)
class Storm:
    """All readers are cut off at once and come back at once, as after a restart."""

    key: str = "storm"
    title: str = "A storm: all connections are cut off, and all come back at once"

    def turns(self, effort: Effort) -> int:
        return effort.runs

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        for _ in range(effort.runs):
            advance(self.key)
            with broker() as server:
                yield load(server, "--storm", effort.connections)

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        count = runs[0]["connections"]
        sheet = Sheet(self.title, ["", "all are back after", "connections/s", "server CPU each", "core of server"])
        back = [run["back_s"] for run in runs]
        sheet.rows.append(
            [
                f"{count:,} connections",
                SECONDS.spread(back),
                THOUSANDS.spread([count / seconds for seconds in back]),
                US.spread([run["server_cpu_s"] * 1e6 / count for run in runs]),
                SHARE.show(median(run["server_cpu_s"] / run["back_s"] for run in runs)),
            ]
        )
        waits = [max(run["server_wait_s"], run["own_wait_s"]) / run["back_s"] for run in runs]
        sheet.doubts = disturbed(f"{count:,} connections", waits)
        if count >= 5_000:
            sheet.goals.append(promised("all are back after", SECONDS, back, BACK_S, BACK_GOAL_S, most=True))
        sheet.note = "Back is: upgraded, welcomed and subscribed. No TLS."
        yield sheet
