"""Real ticks to 1,000 readers, plain and with permessage-deflate: bytes on the wire, and what they cost in CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from peers.cases import Round, failed
from peers.running import Advance, Effort, take_turn
from peers.starting import TICKWIRE, Contender, all_started
from tickwire_bench import programs, ticks
from tickwire_bench.cases.loads import cpu, wire_bytes
from tickwire_bench.figures.sheet import Sheet, promised
from tickwire_bench.figures.unit import BYTES, MILLIONS, SHARE, TIMES, US

KEY = "compression"
TITLE = "permessage-deflate: 1,000 readers of real ticks, 64 a frame or send"
BYTES_GATE, CPU_GATE = 0.4, 1.3  # of a plain one, at most
LOAD = ("--readers", 1_000, "--batch", 64, "--in-flight", 256, "--payload", 96)
BESIDE = ("websockets", "ws", "uWebSockets.js")
NOTE = """\
A tick is a closing price as a line of JSON, a stamp and a number. Tickwire deflates a frame of many messages once for
all its readers; the others deflate each message by itself, for each reader (uWebSockets once, without a window, so
that a short message does not get shorter)."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server, with or without compression."""

    name: str
    of: str
    contender: Contender
    options: tuple[object, ...]


def sides(peers: Sequence[Contender]) -> list[Side]:
    """Each of them twice."""
    found = []
    for each in (TICKWIRE, *(peer for peer in peers if peer.name in BESIDE)):
        found.append(Side(f"{each.name}, plain", each.name, each, ()))
        found.append(Side(f"{each.name}, compressed", each.name, each.compressing(), ("--deflate",)))
    return found


def turns(peers: Sequence[Contender], effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return effort.rounds * len(sides(peers))


def measure(peers: Sequence[Contender], effort: Effort, directory: Path, advance: Advance) -> Iterator[Round]:
    """Give what each round came to. Where Tickwire loses a message, RunFailed."""
    taking_part = sides(peers)
    filling = ("--filling", ticks.file(programs.directory()))
    with all_started([side.contender for side in taking_part], directory / KEY) as servers:
        for _ in range(effort.rounds):
            round: Round = {}
            for side, server in zip(taking_part, servers, strict=True):
                advance(f"{KEY}: {side.name}")
                round[side.name] = take_turn(side.contender, server, effort, (*LOAD, *filling, *side.options))
            yield round


def sheet(rounds: list[Round]) -> Sheet:
    """A row for each side; beside the compressed ones what became of the plain ones."""
    found = Sheet(
        TITLE,
        ["", "deliveries/s", "bytes a delivery", "CPU a delivery", "bytes, of the plain", "CPU, of the plain"],
        note=NOTE,
    )
    for name in rounds[0]:
        runs = [round[name] for round in rounds]
        if (why := failed(rounds, name)) is not None:
            found.rows.append([name, f"failed: {why}", "", "", "", ""])
            continue
        row = [name, MILLIONS.spread([run["deliveries_per_s"] for run in runs])]
        row += [BYTES.show(median(map(wire_bytes, runs))), US.spread([cpu(run) for run in runs])]
        if name.endswith("compressed"):
            plain = [round[name.replace("compressed", "plain")] for round in rounds]
            smaller = [wire_bytes(a) / wire_bytes(b) for a, b in zip(runs, plain, strict=True) if "failed" not in b]
            dearer = [cpu(a) / cpu(b) for a, b in zip(runs, plain, strict=True) if "failed" not in b]
            row += [SHARE.show(median(smaller)), TIMES.spread(dearer)] if smaller else ["", ""]
            if name.startswith(TICKWIRE.name):
                found.goals = [
                    promised("bytes on the wire, of the plain ones", SHARE, smaller, BYTES_GATE, most=True),
                    promised("CPU of a delivery, of a plain one", TIMES, dearer, CPU_GATE, most=True),
                ]
        else:
            row += ["", ""]
        found.rows.append(row)
    return found
