"""The shapes of load, and what was promised of each beside the best of the peers. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from tickwire_bench.cases.loads import cpu as cpu_of
from tickwire_bench.cases.loads import waited
from tickwire_bench.processes import Figures

NOISE = 1.15  # times one of two that are the same may seem to be the other, on a shared machine
FAR = 4.0  # times as slow as the best: not the best in any other round
_p50, _p99 = waited("p50"), waited("p99")
Round = dict[str, Figures]  # what each contender's turn came to; {"failed": why} where there are no figures


@dataclass(frozen=True, slots=True)
class Case:
    """What the load tool is told, for each server alike."""

    key: str
    title: str
    options: tuple[object, ...]
    gate: float | None = None  # times the deliveries a second of the best peer, at least
    goal: float | None = None
    of_floor: float | None = None  # times the CPU of a delivery that the floor takes, at most
    latency: tuple[float, float] | None = None  # p50 and p99 by the best peer's, CPU by the best peer's: at most
    floor: bool = True  # the floor has no topics
    more: int = 0  # rounds than are asked for, where noise is large beside what is compared
    note: str = ""


def _fan_out(readers: int, in_flight: int, batch: int = 1) -> tuple[object, ...]:
    return ("--readers", readers, "--in-flight", in_flight, "--batch", batch)


def _fixed(deliveries: int, readers: int = 1_000) -> tuple[object, ...]:
    return ("--readers", readers, "--rate", deliveries // readers)


# What there is to say of a case; the page shows it under the table.
_PER_WRITE = """\
Where every reader gets a write of its own for a message or a few, what counts is what a write costs, and most of that
is the kernel's. (Not of this run: `perf`, beside 16 messages in flight, gave 87 % of Tickwire's CPU to the kernel.)"""
_PER_TOPIC = """\
Of 256 messages that leave together nearly each second is of another topic, and so a section by itself, which gets
offsets, a place in its topic's log and an audience; Redis, in C, has no offsets and keeps nothing. (Not of this run:
`perf` gave 57 % of Tickwire's CPU to the kernel, one write for all that a reader is due of the flush.) Rounds differ by
a third here, hence more of them than in the other cases."""
_NEARLY_FULL = """\
Where a write costs as much as 5 us, this is all that one core can do, the floor's too: how long a message waits then
depends on who was disturbed. Hence more rounds than in the other cases."""
_IN_TURNS = """\
With 16 frames in flight the server and the load wait for each other: neither has a full core."""

_TOPICS = ("--readers", 200, "--topics", 1_000, "--each", 20, "--in-flight", 256)

CASES = [
    Case("fanout-256", "100 readers, 256 messages in flight", _fan_out(100, 256), gate=1.0, goal=1.5),
    Case("fanout-256x64", "the same, 64 messages a frame or send", _fan_out(100, 256, 64), gate=4, goal=7),
    Case("fanout-16", "100 readers, 16 messages in flight", _fan_out(100, 16), gate=0.85, goal=1.2, note=_PER_WRITE),
    Case("fanout-16-1000", "1,000 readers, 16 messages in flight", _fan_out(1_000, 16), gate=0.85, goal=1.2),
    Case(
        "one", "100 readers, 1 message in flight", _fan_out(100, 1), gate=0.75, goal=1.0, of_floor=1.4, note=_PER_WRITE
    ),
    Case("topics", "200 readers, each of 20 of 1,000 topics", _TOPICS, gate=0.8, goal=1.2, floor=False),
    Case(
        "topics-even",
        "the same, with four readers for each topic",
        (*_TOPICS, "--evenly"),
        gate=0.8,
        goal=1.2,
        floor=False,
        more=14,
        note=_PER_TOPIC,
    ),
    Case("one-to-one", "1 publisher, 1 reader, 256 messages in flight", _fan_out(1, 256), gate=0.3, goal=0.7),
    Case(
        "one-to-one-x64",
        "the same, 1,024 in flight, 64 a frame or send",
        _fan_out(1, 1_024, 64),
        gate=2,
        goal=4,
        note=_IN_TURNS,
    ),
    Case(
        "latency-50k",
        "50,000 deliveries a second to 1,000 readers",
        _fixed(50_000),
        latency=(1.3, 1.4),
        more=4,
        note=_PER_WRITE,
    ),
    Case(
        "latency-200k",
        "200,000 deliveries a second to 1,000 readers",
        _fixed(200_000),
        latency=(1.0, 1.0),
        more=18,
        note=_NEARLY_FULL,
    ),
]


@dataclass(frozen=True, slots=True)
class Promise:
    """What came out of the rounds, beside what was promised."""

    text: str
    reached: list[float]
    bound: float
    goal: float | None = None
    most: bool = False

    @property
    def met(self) -> bool:
        return self._within(1)

    @property
    def outcome(self) -> str:
        """Where it was promised to be no worse, what is as much as the machine's noise apart is neither of the two."""
        if self.met:
            return "reached"
        return "level, within the noise" if self.bound == 1 and self._within(NOISE) else "MISSED"

    def _within(self, factor: float) -> bool:
        value = median(self.reached)
        return value <= self.bound * factor if self.most else value >= self.bound / factor


@dataclass(slots=True)
class Verdict:
    """A case's promises, and which peer was the best in most rounds."""

    best: str
    promises: list[Promise] = field(default_factory=list)


def figures_of(rounds: list[Round], name: str) -> list[Figures]:
    """Those of the rounds that it took part in."""
    return [turn[name] for turn in rounds if name in turn]


def failed(rounds: list[Round], name: str) -> str | None:
    """Why it has no figures, or None where it has."""
    return next((turn["failed"] for turn in figures_of(rounds, name) if "failed" in turn), None)


def in_the_running(case: Case, round: Round) -> set[str]:
    """Which of these peers came near enough to the best of them to be it in another round."""
    sound = {name: turn for name, turn in round.items() if "failed" not in turn}
    if not sound:
        return set()
    if case.latency is not None:
        best = min(turn["latency_us"]["p99"] for turn in sound.values())
        return {name for name, turn in sound.items() if turn["latency_us"]["p99"] < FAR * best}
    best = max(turn["deliveries_per_s"] for turn in sound.values())
    return {name for name, turn in sound.items() if turn["deliveries_per_s"] > best / FAR}


def verdict(case: Case, rounds: list[Round], ours: str, floor: str) -> Verdict | None:
    """Beside the peers that took part to the end and lost nothing; None where there is none."""
    peers = [name for name in rounds[-1] if name not in (ours, floor) and failed(rounds, name) is None]
    if not peers:
        return None
    if case.latency is not None:
        return _latency(case.latency, rounds, ours, peers)
    best = max(peers, key=lambda name: median(turn[name]["deliveries_per_s"] for turn in rounds))
    found = Verdict(best)
    if case.gate is not None:
        ratios = [turn[ours]["deliveries_per_s"] / turn[best]["deliveries_per_s"] for turn in rounds]
        found.promises.append(Promise("the deliveries a second of the best peer", ratios, case.gate, case.goal))
    if case.of_floor is not None and floor in rounds[0]:
        ratios = [cpu_of(turn[ours]) / cpu_of(turn[floor]) for turn in rounds]
        found.promises.append(Promise("the CPU of a delivery that the floor takes", ratios, case.of_floor, most=True))
    return found


def _latency(bounds: tuple[float, float], rounds: list[Round], ours: str, peers: list[str]) -> Verdict:
    waits, cpu = bounds
    found = Verdict(_least(peers, rounds, _p99))
    for what, figure, bound in (("p50", _p50, waits), ("p99", _p99, waits), ("CPU", cpu_of, cpu)):
        best = _least(peers, rounds, figure)
        ratios = [figure(turn[ours]) / figure(turn[best]) for turn in rounds]
        found.promises.append(Promise(f"the {what} of the best peer, {best}", ratios, bound, most=True))
    return found


def _least(peers: list[str], rounds: list[Round], figure: Callable[[Figures], float]) -> str:
    """The best of all rounds: of each round by itself, whoever the machine disturbed least would be it."""
    return min(peers, key=lambda name: median(figure(turn[name]) for turn in rounds))
