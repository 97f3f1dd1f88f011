"""`make bench-micro`: each workload by itself, timed by pytest-benchmark. Figures are for comparing on one machine."""

from __future__ import annotations

from typing import Protocol

import pytest

from micro.workloads import SUITES, Step, Workload


class Benchmark(Protocol):
    """pytest-benchmark's fixture, as far as it is used here."""

    group: str | None

    def __call__(self, step: Step) -> object: ...


@pytest.mark.parametrize(
    ("suite", "workload"),
    [pytest.param(suite, make, id=f"{suite}: {name}") for suite, all in SUITES.items() for name, make in all.items()],
)
def test_speed(benchmark: Benchmark, suite: str, workload: Workload) -> None:
    benchmark.group = suite
    step = workload()
    step()

    benchmark(step)
