"""The durable bench compares what it says it does: its ratios, its counts of the disk, and its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from durable import disk, payloads, publisher
from durable.sheets import sheets
from durable.showing import page
from durable.workloads import BATCH, CASES, Case, ratios
from tickwire_bench import history, meters

BENCH = Path(__file__).parents[2] / "bench"
BATCHES, SINGLES = Case(16, 64, batched=True), Case(16, 64, batched=False)


def test_a_ratio_is_of_the_better_of_the_others_in_the_same_round() -> None:
    rounds = [
        turns(tickwire=400, jetstream=10, atomic=100, redis=50),
        turns(tickwire=900, jetstream=10, atomic=100, redis=300),
        turns(tickwire=800, jetstream=200, atomic=100, redis=50),
    ]

    jetstream, redis, better, floor, itself = ratios(BATCHES, rounds)

    assert (jetstream.reached, redis.reached) == ([4, 9, 4], [8, 3, 16])
    assert (better.reached, better.met) == ([4, 3, 4], True)
    assert (floor.reached, itself.reached) == ([0.4, 0.9, 0.8], [10, 10 / 3, 5])


def test_a_promise_to_be_ahead_is_not_kept_by_being_level() -> None:
    jetstream, redis, _ = ratios(SINGLES, [turns(tickwire=80, jetstream=80, redis=100)])

    assert (jetstream.met, redis.met) == (False, True)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [meters.percentile(values, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert meters.percentile([7.0], 50) == 7.0
    with pytest.raises(ValueError, match="of nothing"):
        meters.percentile([], 50)


def test_a_send_counts_with_the_part_of_it_that_is_within_the_window() -> None:
    sends = [(0.0, 1.0), (8.0, 12.0), (10.0, 11.0), (11.5, 13.5), (14.0, 15.0)]

    figures = publisher.figures_of(sends, messages=100, opened=10.0, closed=12.0)

    assert figures["messages_per_s"] == (50 + 100 + 25) / 2
    assert (figures["ack_p50_ms"], figures["ack_p99_ms"], figures["acks"]) == (2_000, 4_000, 3)


def test_the_disk_alone_is_measured_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures = disk.measure(tmp_path, 0.1)

    assert all(figures[name]["pages_per_s"] > 1 for name in ("appended", "written_over"))
    assert list(tmp_path.iterdir()) == []


def test_meters_read_what_the_system_says_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5_000))

    meters.forget_pages(tmp_path)

    assert meters.bytes_in(tmp_path) == 5_000
    assert 1 << 20 < meters.resident(os.getpid()) <= meters.peak_resident(os.getpid())
    assert meters.cpu_seconds(os.getpid()) > 0


def test_publishers_send_messages_of_the_size_that_was_asked_for_and_no_two_of_a_batch_alike() -> None:
    for size, noise in ((64, False), (1_024, False), (1_024, True)):
        made = payloads.payloads(size, 15, noise)

        assert {len(each) for each in made} == {size}
        assert len(set(made)) == len(made) >= BATCH
        assert made != payloads.payloads(size, 3, noise)


def test_the_messages_of_the_large_store_are_about_a_hundred_bytes() -> None:
    import msgpack

    size = len(msgpack.packb({"n": 5_000_000, "t": 1.7e9, "x": history.padding()}))

    assert 95 <= size <= 105


def test_a_page_shows_every_case_and_names_what_was_missed() -> None:
    results = {
        "machine": {"cpu": "a processor"},
        "versions": {"redis-server": "7.0.15"},
        "publishing": {case.key: [turns(tickwire=80, jetstream=60, atomic=60, redis=101)] for case in CASES},
    }

    text = page(results, sheets(results), "make bench-durable")

    assert all(f"## {case.title}\n" in text for case in CASES)
    assert text.count("promised at least 4x: MISSED") == sum(case.batched and not case.noise for case in CASES)
    assert "0.792x the messages a second of Redis, promised at least 0.8x: MISSED" in text
    assert "- redis-server: 7.0.15" in text


def test_options_that_mean_nothing_are_refused_with_a_sentence() -> None:
    ended = bench("--only", "lunch")

    assert ended.returncode == 2
    assert "'lunch' is not one of 'publishing', 'catch-up', 'restart'" in ended.stderr


def turns(
    tickwire: float, jetstream: float, redis: float, atomic: float | None = None, floor: float = 1_000
) -> dict[str, Any]:
    """A round with those messages a second."""
    rates = {"tickwire": tickwire, "jetstream": jetstream, "jetstream-atomic": atomic, "redis": redis, "floor": floor}
    page = {"pages_per_s": 5_000.0, "flushes_per_s": 5_000.0}
    other = {"ack_p50_ms": 0.5, "ack_p99_ms": 2.0, "flushes_per_s": 50.0}
    other |= {"server_cpu_share": 0.9, "own_cpu_share": 0.5, "others_cpu_share": 0.1}
    served = {name: {"messages_per_s": float(rate), **other} for name, rate in rates.items() if rate is not None}
    return {**served, "disk": {"appended": page, "written_over": page}}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(BENCH)}
    command = [sys.executable, "-m", "durable", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
