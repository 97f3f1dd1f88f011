"""What a connection costs: resident memory while it is idle, and a storm in which 5,000 come back at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from peers.cases import Round, failed
from peers.running import Advance, Effort
from peers.starting import TICKWIRE, Contender, all_started, awake
from tickwire_bench.cases.connections import idle_bytes
from tickwire_bench.figures.sheet import Sheet, promised
from tickwire_bench.figures.unit import KIB, SECONDS, THOUSANDS, US
from tickwire_bench.processes import Figures, RunFailed, load

KEY = "connections"
CONNECTIONS = 5_000
TITLE = f"{CONNECTIONS:,} connections: idle, and in a storm"
ROUNDS = 5  # at most: each starts every server anew
TIMES_IDLE = 3  # of them, in which the memory is looked at
IDLE_GATE, IDLE_GOAL, BACK_GATE_S, BACK_GOAL_S = 14 << 10, 8 << 10, 4.0, 1.0
NOTE = """\
Idle: what the process has more of for each of 4,800 connections that are upgraded where they are WebSockets, greeted
and subscribed; what the kernel keeps is not in it. Storm: 5,000 such connections are cut off at once, and open again
all at once. uWebSockets has a backlog of 512, and no setting for it: whoever is not in it waits for a retransmission.
A process that was started for each round had no connections before."""


def turns(peers: Sequence[Contender], effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return min(effort.rounds, ROUNDS) * (1 + len(peers))


def measure(peers: Sequence[Contender], effort: Effort, directory: Path, advance: Advance) -> Iterator[Round]:
    """Give what each round came to."""
    for number in range(min(effort.rounds, ROUNDS)):
        round: Round = {}
        for each in (TICKWIRE, *peers):
            advance(f"{KEY}: {each.name}")
            try:
                round[each.name] = _turn(each, directory / KEY / str(number) / each.name, number < TIMES_IDLE)
            except RunFailed as failure:
                if each is TICKWIRE:
                    raise
                round[each.name] = {"failed": str(failure)}
        yield round


def _turn(contender: Contender, directory: Path, idle: bool) -> Figures:
    with all_started([contender], directory) as (server,), awake(server):
        figures = load(server, "--mode", contender.dialect, "--storm", CONNECTIONS)
    if idle:
        with all_started([contender], directory) as (server,), awake(server):
            figures["idle_bytes"] = idle_bytes(server, CONNECTIONS, "--mode", contender.dialect)
    return figures


def sheet(rounds: list[Round]) -> Sheet:
    """The quickest first."""
    found = Sheet(
        TITLE,
        ["", "all are back after", "connections/s", "CPU of the server each", "resident each, idle"],
        note=NOTE,
    )
    rows: list[tuple[float, list[str]]] = []
    for name in rounds[0]:
        runs = [round[name] for round in rounds]
        if (why := failed(rounds, name)) is not None:
            rows.append((1e9, [name, f"failed: {why}", "", "", ""]))
            continue
        back = [run["back_s"] for run in runs]
        used = [run["server_cpu_s"] * 1e6 / CONNECTIONS for run in runs]
        idle = [run["idle_bytes"] for run in runs if "idle_bytes" in run]
        rates = THOUSANDS.show(median(CONNECTIONS / seconds for seconds in back))
        rows.append((median(back), [name, SECONDS.spread(back), rates, US.spread(used), KIB.spread(idle)]))
        if name == TICKWIRE.name:
            found.goals = [
                promised("all are back after", SECONDS, back, BACK_GATE_S, BACK_GOAL_S, most=True),
                promised("an idle connection", KIB, idle, IDLE_GATE, IDLE_GOAL, most=True),
            ]
    found.rows = [row for _, row in sorted(rows, key=lambda row: row[0])]
    return found
