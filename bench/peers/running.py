"""Takes the turns: every server with the same load, one after the other, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.cases import Case, Round, in_the_running
from peers.starting import FLOOR_ITSELF, TICKWIRE, Contender, all_started, awake
from tickwire_bench.processes import Figures, RunFailed, Server, load

Advance = Callable[[str], None]
FOR_ALL = 2  # rounds; then those go on who may be the best


@dataclass(frozen=True, slots=True)
class Effort:
    """How many rounds, and how long one server's turn is."""

    rounds: int
    seconds: float
    warmup: float


def measure(
    case: Case, peers: Sequence[Contender], effort: Effort, directory: Path, advance: Advance
) -> Iterator[Round]:
    """Give what each round came to. A peer that loses a message has no figures; where Tickwire does, RunFailed."""
    contenders = [TICKWIRE, *peers, *([FLOOR_ITSELF] if case.floor else [])]
    with all_started(contenders, directory / case.key) as servers:
        still = list(range(len(contenders)))
        for number in range(effort.rounds + case.more):
            # Each round begins with another, so that nobody always follows the same one.
            turns: dict[int, Figures] = {}
            for at in still[number % len(still) :] + still[: number % len(still)]:
                advance(f"{case.key}: {contenders[at].name}")
                turns[at] = take_turn(contenders[at], servers[at], effort, case.options)
            for at in set(range(len(contenders))) - set(still):
                advance(f"{case.key}: {contenders[at].name}")
            round = {contenders[at].name: turns[at] for at in sorted(turns)}
            yield round
            if number == FOR_ALL - 1:
                near = in_the_running(case, {peer.name: round[peer.name] for peer in peers})
                still = [at for at in still if contenders[at] not in peers or contenders[at].name in near]


def turns_of(case: Case, peers: Sequence[Contender], effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return (effort.rounds + case.more) * (1 + len(peers) + case.floor)


def take_turn(contender: Contender, server: Server, effort: Effort, told: Sequence[object]) -> Figures:
    """What the load tool says of it, told how. {"failed": why} where a peer loses a message; for Tickwire RunFailed."""
    options = ["--mode", contender.dialect, "--duration", effort.seconds, "--warmup", effort.warmup, *told]
    try:
        with awake(server):
            return load(server, *options)
    except RunFailed as failure:
        if contender is TICKWIRE:
            raise
        return {"failed": str(failure)}
