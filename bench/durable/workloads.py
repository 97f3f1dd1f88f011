"""What is measured of publishing, and what was promised of it. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from statistics import median

from tickwire_bench.processes import Figures

BATCH = 100  # messages
PUBLISHERS = 16  # at most
SINGLE = ("tickwire", "jetstream", "redis", "floor")
IN_FLIGHT = 16  # batches of a lone publisher that does not wait for each: as many as sixteen that do
BATCHED = ("tickwire", "jetstream", "jetstream-atomic", "redis", "floor")
OTHERS = {"jetstream": ("jetstream", "jetstream-atomic"), "redis": ("redis",)}
BOTH, BETTER = (*OTHERS["jetstream"], *OTHERS["redis"]), "the better of both"


@dataclass(frozen=True, slots=True)
class Case:
    """What the publishers do."""

    publishers: int
    payload: int  # bytes
    batched: bool
    in_flight: int = 1  # sends that each of them has under way
    noise: bool = False  # payloads that do not pack, in place of prices

    @property
    def key(self) -> str:
        return (
            f"{self.publishers} x {self.payload} B, {f'batches of {BATCH}' if self.batched else 'single'}"
            f"{f', {self.in_flight} in flight' if self.in_flight > 1 else ''}{', noise' if self.noise else ''}"
        )

    @property
    def title(self) -> str:
        who = f"{self.publishers} publishers" if self.publishers > 1 else "1 publisher"
        what = f"batches of {BATCH} messages" if self.batched else "single messages"
        which = "random bytes" if self.noise else "bytes"
        flying = f", {self.in_flight} in flight" if self.in_flight > 1 else ""
        return f"{who}, {what} of {self.payload:,} {which}{flying}"

    @property
    def turns(self) -> tuple[str, ...]:
        return BATCHED if self.batched else SINGLE


CASES = [
    *(Case(*each) for each in product((1, PUBLISHERS), (64, 1024), (False, True))),
    *(Case(1, payload, True, IN_FLIGHT) for payload in (64, 1024)),
    Case(PUBLISHERS, 1024, True, noise=True),
]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Messages a second by those of another, and what was promised of that, if anything."""

    other: str
    reached: list[float]  # one for each round: machines change within minutes, so only neighbours compare
    promised: float | None = None
    over: bool = False  # more than promised, not at least
    of: str = ""  # whose they are, where not Tickwire's

    @property
    def met(self) -> bool:
        if self.promised is None:
            return True
        ratio = median(self.reached)
        return ratio > self.promised if self.over else ratio >= self.promised


def ratios(case: Case, rounds: list[Figures]) -> list[Ratio]:
    """All that can be compared in the case."""
    jetstream, redis = (_ratios(rounds, "tickwire", *OTHERS[name]) for name in ("jetstream", "redis"))
    floor = Ratio("the floor", _ratios(rounds, "tickwire", "floor"))
    if case.batched:
        better = _ratios(rounds, "tickwire", *BOTH)
        promised = None if case.noise else 4
        compared = [Ratio("JetStream", jetstream), Ratio("Redis", redis), Ratio(BETTER, better, promised)]
        return [*compared, floor, Ratio(BETTER, _ratios(rounds, "floor", *BOTH), of="the floor itself has ")]
    if case.publishers == 1:
        return [Ratio("JetStream", jetstream), Ratio("Redis", redis), floor]
    return [Ratio("JetStream", jetstream, 1, over=True), Ratio("Redis", redis, 0.8), floor]


def _ratios(rounds: list[Figures], one: str, *others: str) -> list[float]:
    """The messages a second of one by those of the best of the others that took a turn."""
    return [
        turns[one]["messages_per_s"] / max(turns[each]["messages_per_s"] for each in others if each in turns)
        for turns in rounds
    ]
