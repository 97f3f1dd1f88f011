"""The comparison with the peers: ratios within a round, who may be the best, and pages that name what was missed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from peers import compression, connections, running, sdk, showing
from peers.__main__ import KEYS, main, merged
from peers.cases import CASES, Case, Promise, Round, in_the_running, verdict
from peers.growth import AXES
from tickwire_bench.processes import RunFailed

BENCH = Path(__file__).parents[2] / "bench"
COMMAND, ENVIRONMENT = [sys.executable, "-m", "peers"], {**os.environ, "PYTHONPATH": str(BENCH)}
FAN_OUT = Case("fan-out", "a fan-out", (), gate=1.0, goal=1.5, of_floor=1.4)
LATENCY = Case("latency", "a fixed load", (), latency=(1.3, 1.4))


def turn(rate: float = 1e6, cpu: float = 1.0, p50: float = 100.0, p99: float = 1_000.0) -> dict[str, Any]:
    return {
        "deliveries_per_s": rate, "server_cpu_us_per_delivery": cpu, "latency_us": {"p50": p50, "p99": p99},
        "server_cpu_s": 0.9, "seconds": 1.0, "own_cpu_share": 0.5, "published_per_s": 100.0,
        "server_wait_s": 0.0, "own_wait_s": 0.0,
    }  # fmt: skip


def test_a_ratio_is_of_the_turn_of_the_same_round_and_the_peer_that_is_the_best_in_all() -> None:
    rounds: list[Round] = [
        {"Tickwire": turn(300), "NATS": turn(100), "Redis": turn(200), "floor": turn(400, cpu=0.5)},
        {"Tickwire": turn(300), "NATS": turn(600), "Redis": turn(200), "floor": turn(400, cpu=1.0)},
        {"Tickwire": turn(300), "NATS": turn(100), "Redis": turn(300), "floor": turn(400, cpu=0.8)},
    ]

    found = verdict(FAN_OUT, rounds, "Tickwire", "floor")

    assert found is not None
    best, floor = found.promises
    assert (found.best, best.reached, best.met) == ("Redis", [1.5, 1.5, 1.0], True)
    assert (floor.reached, floor.met) == ([2.0, 1.0, 1.25], True)


def test_each_of_the_waits_is_compared_with_the_peer_whose_is_the_shortest() -> None:
    rounds: list[Round] = [
        {"Tickwire": turn(p50=130, p99=900, cpu=3), "NATS": turn(p50=100, p99=900, cpu=2), "ws": turn(p50=200, p99=600)}
    ] * 3
    rounds[1] = {**rounds[1], "ws": turn(p50=1, p99=600)}

    found = verdict(LATENCY, rounds, "Tickwire", "floor")

    assert found is not None
    assert [(promise.reached, promise.met) for promise in found.promises] == [
        ([1.3] * 3, True), ([1.5] * 3, False), ([3.0] * 3, False),
    ]  # fmt: skip


def test_what_is_apart_by_no_more_than_the_noise_is_level_where_no_worse_was_promised() -> None:
    outcomes = [Promise("p50", [reached], 1.0, most=True).outcome for reached in (1.0, 1.14, 1.16)]

    assert outcomes == ["reached", "level, within the noise", "MISSED"]
    assert Promise("p50", [1.31], 1.3, most=True).outcome == "MISSED"
    assert Promise("rate", [0.9], 1.0).outcome == "level, within the noise"


def test_a_peer_that_lost_a_message_has_no_figures_and_is_nobody_to_compare_with() -> None:
    rounds: list[Round] = [
        {"Tickwire": turn(100), "NATS": turn(50), "ws": turn(900)},
        {"Tickwire": turn(100), "NATS": turn(50), "ws": {"failed": "reader 3: message 7 of publisher 0, expected 6"}},
    ]

    found = verdict(FAN_OUT, rounds, "Tickwire", "floor")

    assert found is not None
    assert (found.best, found.promises[0].reached) == ("NATS", [2.0, 2.0])
    assert verdict(FAN_OUT, [{"Tickwire": turn(), "ws": {"failed": "x"}}], "Tickwire", "floor") is None


def test_who_is_four_times_as_slow_takes_no_further_turns() -> None:
    rates: Round = {"Redis": turn(100), "NATS": turn(400), "ws": turn(101), "picows": {"failed": "x"}}
    waits: Round = {"Redis": turn(p99=100), "NATS": turn(p99=399), "ws": turn(p99=401)}

    assert in_the_running(FAN_OUT, rates) == {"NATS", "ws"}
    assert in_the_running(LATENCY, waits) == {"Redis", "NATS"}
    assert in_the_running(FAN_OUT, {"ws": {"failed": "x"}}) == set()


def test_of_two_files_the_later_one_counts() -> None:
    round: Round = {"Tickwire": turn(50), "Redis": turn(100)}
    first = {"command": "one", "cases": {"one": [round], "topics": [round]}, "missing": [],
             "failed": {"one": "x", "topics": "y"}}  # fmt: skip
    second = {"command": "two", "cases": {"one": [round, round]}, "growth": {"readers": {}}}

    assert merged([first, second]) == {
        "command": "one\n    two", "cases": {"one": [round, round], "topics": [round]}, "missing": [],
        "growth": {"readers": {}}, "failed": {"topics": "y"},
    }  # fmt: skip


def test_a_page_shows_every_case_its_plots_and_what_was_missed(tmp_path: Path) -> None:
    disturbed = {**turn(100), "server_wait_s": 0.2}
    round: Round = {"Tickwire": turn(50), "Redis": disturbed, "ws": {"failed": "it dropped somebody"}}
    results = {
        "command": "make bench-peers", "machine": {"cpu": "a processor"}, "versions": {"Redis": "7.0.15"},
        "missing": ["mosquitto"], "cases": {case.key: [round, round] for case in CASES},
        "growth": {axis.key: {"Tickwire": [[step, 0.5] for step in axis.steps]} for axis in AXES},
    }  # fmt: skip

    showing.write_page(results, tmp_path / "page.md")

    text = (tmp_path / "page.md").read_text()
    assert all(f"## {case.title}\n" in text for case in CASES)
    missed = "0.5x (0.5 to 0.5) the deliveries a second of the best peer; promised at least 1x, hoped for 1.5x: MISSED"
    assert missed in text
    assert "| ws | failed: it dropped somebody |" in text
    assert "| **Tickwire** |" in text
    assert f"{missed}, though disturbed\n" in text
    assert "- *Redis: disturbed, other processes had one of the cores for 20 % of the time*" in text
    assert "Left out, since they were not installed: mosquitto." in text
    drawn = {file.name for file in (tmp_path / "page").iterdir()}
    assert drawn == {"rates.svg", *(f"{axis.key}.svg" for axis in AXES)}
    assert all(f"(page/{name})" in text for name in drawn)


def test_a_narrow_terminal_has_the_medians_and_is_told_so() -> None:
    results = {
        "command": "", "machine": {}, "versions": {}, "missing": [],
        "cases": {"one": [{"Tickwire": turn(rate), "Redis": turn(90e6)} for rate in (50e6, 70e6)]},
    }  # fmt: skip
    said = {}
    for width in (90, 130):
        console = Console(width=width, record=True, file=io.StringIO())
        showing.show(console, results)
        said[width] = console.export_text()

    assert " 60 M " in said[90]
    assert "60 M (50 to 70)" not in said[90]
    assert "from 120 columns on" in said[90]
    assert " 60 M (50 to 70) " in said[130]


def test_from_client_to_client_the_best_of_the_others_counts() -> None:
    fast, slow = {"messages_per_s": 500.0, "own_cpu_share": 1.0}, {"messages_per_s": 20.0, "own_cpu_share": 1.0}
    round: Round = {"Tickwire": fast, "nats-py": {**slow, "messages_per_s": 100.0}, "redis-py": slow}

    found = sdk.sheet([round, round])

    assert [row[0] for row in found.rows] == ["Tickwire", "nats-py", "redis-py"]
    (goal,) = map(str, found.goals)
    assert goal.endswith("of the best of the others: 5x (5 to 5); promised at least 5x, hoped for 10x: reached")


def test_what_compression_costs_is_of_the_plain_turn_of_the_same_round() -> None:
    rounds: list[Round] = [
        {
            "Tickwire, plain": {**turn(cpu=cpu), "bytes_in": 1_000, "deliveries": 10},
            "Tickwire, compressed": {**turn(cpu=1.5 * cpu), "bytes_in": 500, "deliveries": 10},
            "ws, plain": {"failed": "it dropped somebody"},
            "ws, compressed": {**turn(), "bytes_in": 900, "deliveries": 10},
        }
        for cpu in (1.0, 4.0)
    ]

    found = compression.sheet(rounds)

    assert found.rows[1][4:] == ["50 %", "1.5x (1.5 to 1.5)"]
    assert [goal.met for goal in found.goals] == [False, False]
    assert found.rows[2][1] == "failed: it dropped somebody"
    assert found.rows[3][4:] == ["", ""]


def test_a_storm_is_told_with_what_each_connection_took() -> None:
    ours = {"back_s": 2.0, "server_cpu_s": 1.0, "idle_bytes": 20 << 10}
    rounds: list[Round] = [{"ws": {"failed": "x"}, "Tickwire": ours}, {"ws": {"failed": "x"}, "Tickwire": ours}]

    found = connections.sheet(rounds)

    assert found.rows[0] == ["Tickwire", "2 s (2 to 2)", "2.5 k", "200 us (200 to 200)", "20 KiB (20 to 20)"]
    assert [goal.met for goal in found.goals] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--case", "lunch"], "'lunch' is not one of 'fanout-256'"),
        (["--peer", "kafka"], "'kafka' is not one of 'nats'"),
        (["--rounds", "0"], "0 is not in the range 1<=x<=50"),
        (["--from", "nowhere.json"], "'nowhere.json' does not exist"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(arguments: list[str], sentence: str) -> None:
    ended = subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 2
    assert sentence in " ".join(ended.stderr.split())


def test_all_cases_and_peers_are_listed() -> None:
    ended = subprocess.run(
        [*COMMAND, "--list"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )

    assert [line.split()[0] for line in ended.stdout.splitlines() if line] == [*KEYS, "Peers:"]


def test_who_interrupts_has_the_cases_that_are_done(tmp_path: Path) -> None:
    cases = ["--case", "one", "--case", "one-to-one", "--peer", "redis", "--rounds", "1", "--seconds"]
    command = [*COMMAND, *cases, "0.2", "--json", str(tmp_path / "some.json")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(" one-to-one\n"):
                break
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == 143
    assert "100 readers, 1 message in flight" in said
    assert list(json.loads((tmp_path / "some.json").read_text())["cases"]) == ["one"]


def test_a_case_in_which_we_lose_a_message_does_not_cost_the_figures_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(case: Case, *_: object) -> list[Round]:
        if case.key == "topics":
            raise RunFailed("reader 3 lost 10 messages")
        return [{"Tickwire": turn(50), "Redis": turn(100)}]

    monkeypatch.setattr(running, "measure", measure)
    monkeypatch.setattr("peers.__main__.prepare", lambda: None)  # it is for a program of its own
    file, page = tmp_path / "some.json", tmp_path / "some.md"
    wanted = ["--case", "one", "--case", "topics", "--case", "topics-even", "--peer", "redis"]

    ended = CliRunner().invoke(main, [*wanted, "--json", str(file), "--page", str(page)])

    assert ended.exit_code == 1
    assert list(json.loads(file.read_text())["cases"]) == ["one", "topics-even"]
    for told in (ended.output, page.read_text().replace("**", "")):
        assert "topics has no figures: reader 3 lost 10 messages" in told
