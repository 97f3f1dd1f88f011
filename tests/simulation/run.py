"""Many histories, on all cores, until one fails."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .history import run
from .plants import planted
from .world import Outcome

_AT_A_TIME = 20  # seeds that a process takes

_for_good = contextlib.ExitStack()  # until the process ends


@dataclass(slots=True)
class Total:
    """What the histories came to together."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.histories += 1
        self.counts.update(outcome.counts)
        if outcome.faults:
            self.failed.append(outcome)


def simulate(
    seeds: range,
    plant: str | None = None,
    jobs: int | None = None,
    told: Callable[[Outcome], None] = lambda outcome: None,
    stop: bool = True,
) -> Total:
    """Run a history for each seed, in the order of the seeds near enough; with `stop`, no more once one has failed."""
    total = Total()
    with contextlib.closing(_outcomes(seeds, plant, jobs or os.cpu_count() or 1)) as outcomes:
        for outcome in outcomes:
            total.add(outcome)
            told(outcome)
            if total.failed and stop:
                break
    return total


def _outcomes(seeds: range, plant: str | None, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        with planted(plant):
            yield from map(run, seeds)
        return
    parts = [seeds[at : at + _AT_A_TIME] for at in range(0, len(seeds), _AT_A_TIME)]
    with multiprocessing.get_context("spawn").Pool(jobs, _begin, (plant,)) as pool:
        for outcomes in pool.imap(_run_all, parts):
            yield from outcomes


def _begin(plant: str | None) -> None:
    _for_good.enter_context(planted(plant))


def _run_all(seeds: range) -> list[Outcome]:
    return [run(seed) for seed in seeds]
