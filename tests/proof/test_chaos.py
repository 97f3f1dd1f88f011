"""A short run of what `make chaos` does for minutes, and the parts that it is made of."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rich.console import Console

from . import schedule
from .broker import environment
from .chaos import Plan, prove
from .history import clean
from .recorder import Recorder, Tail, read
from .report import Proof
from .skewed import set_clock
from .small_disk import Ballast


async def shown(plan: Plan, folder: Path) -> Proof:
    """A run in which all happened that is to be shown: so few kills may miss all acknowledgments that are on their way.

    What breaks the contract is not tried again.
    """
    for attempt in range(4):
        (folder / str(attempt)).mkdir()
        proof = await prove(replace(plan, seed=plan.seed + attempt), folder / str(attempt), Console(quiet=True))
        if proof.shows_all or not proof.verdict.holds or proof.counts.troubles:
            break
    return proof


async def test_what_is_acknowledged_outlives_eight_kills(tmp_path: Path) -> None:
    plan = Plan(seed=910, kills=8, seconds=60.0, per_second=80.0, ack_timeout=2.0, full_disk=False, few=True)

    proof = await shown(plan, tmp_path)

    assert proof.complaints() == []
    assert proof.verdict.figures.kills >= 8


async def test_without_a_disk_every_epoch_is_announced_and_nothing_is_lost_within_it(tmp_path: Path) -> None:
    plan = Plan(seed=7, kills=4, seconds=60.0, ack_timeout=2.0, full_disk=False, durable=False, few=True)

    proof = await shown(plan, tmp_path)

    assert proof.complaints() == []
    assert proof.verdict.figures.gaps["epoch"] > 0


def test_the_same_seed_is_the_same_schedule() -> None:
    once, again, other = (list(islice(schedule.lives(seed), 50)) for seed in (1, 1, 2))

    assert once == again != other
    assert list(schedule.full_lives(1, 4)) == list(schedule.full_lives(1, 4))


def test_a_schedule_has_every_end_and_every_fault_in_it() -> None:
    lives = list(islice(schedule.lives(3), 200))

    assert {life.end for life in lives} == set(schedule.ENDS)
    assert {fault.what for life in lives for fault in life.faults} == set(schedule.FAULTS)


def test_the_brokers_clock_is_wrong_by_what_the_file_says(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, -3600.0)
    program = f"""
import time
from pathlib import Path
from proof.skewed import set_clock, skew
clock = Path({str(clock)!r})
skew(clock)
print(time.time_ns())
set_clock(clock, 60.0)
print(int(time.time() * 1e9))
"""

    said = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert [round((int(ns) - time.time_ns()) / 1e9, -1) for ns in said] == [-3600.0, 60.0]


def test_a_tail_gives_what_is_new_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "p"
    recorder, events = Recorder(file), clean()["p"]
    tail = Tail(file)

    recorder.write(*events[:2])
    first = [event for _, event in tail.read()]
    recorder.write(*events[2:])
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    second = [event for _, event in tail.read()]
    file.write_bytes(whole)
    third = [event for _, event in tail.read()]
    recorder.close()

    assert first + second + third == events == [event for _, event in read(file)]
    assert third == events[-1:]


def test_a_ballast_that_was_never_there_can_be_dropped(tmp_path: Path) -> None:
    Ballast(tmp_path).drop()

    assert list(tmp_path.iterdir()) == []
