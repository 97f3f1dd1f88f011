"""The demo as a whole, small; and its parts that need no broker."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tickwire.server.demo.figures import Figures, Rate
from tickwire.server.demo.panel import Screen, sparkline
from tickwire.server.demo.replay import Day, load
from tickwire.server.demo.screen import line

DEMO = (sys.executable, "-m", "tickwire.server.cli", "demo")
PROOF = r"(\d+) readers x 20 topics: ([0-9,]+) deliveries, every count, offset and checksum equal to the publisher's\n"


def test_a_small_demo_ends_by_itself_and_proves_that_nothing_was_missed(tmp_path: Path) -> None:
    directory = tmp_path / "a path with spaces"
    directory.mkdir()

    ended = subprocess.run(
        [*DEMO, "--readers", "5", "--for", "1", "--speed", "200"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    proof = re.search(PROOF, ended.stdout)
    assert proof
    deliveries = int(proof[2].replace(",", ""))
    assert proof[1] == "5"
    assert deliveries >= 5 * 20 * 20
    assert deliveries % (5 * 20) == 0


def test_ctrl_c_ends_it_with_the_proof_of_what_was_replayed() -> None:
    command = [*DEMO, "--readers", "2", "--speed", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        while "prices published" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)

    assert (demo.returncode, err) == (0, "")
    assert re.search(PROOF, out)


def test_a_port_in_use_is_told() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*DEMO, "--readers", "1", "--for", "1", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"tickwire: cannot listen on port {port}: ")


def test_the_data_are_8313_days_of_20_stocks() -> None:
    replay = load()

    assert (len(replay.days), len(replay.symbols)) == (8_313, 20)
    assert (replay.days[0].date, replay.days[-1].date) == ("1990-01-02", "2022-12-28")
    assert replay.topics[0] == "prices.AAPL"
    assert replay.days[0].closes[0] == pytest.approx(0.264)
    assert {len(day.closes) for day in replay.days} == {20}


def figures() -> Figures:
    replay = load()
    figures = Figures(1000, replay.symbols, url="ws://127.0.0.1:8765/ws", subscribed=400)
    figures.published, figures.deliveries = 12_340, 12_340_000
    return figures


def replaying() -> Figures:
    shown = figures()
    shown.phase, shown.lag = "replaying", 16_400
    for day in (Day("1990-01-02", tuple(range(1, 21))), Day("1990-01-03", tuple(range(2, 22)))):
        shown.day(day)
    return shown


def shown(figures: Figures, rate: float | None, width: int = 80, height: int = 24) -> str:
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(Screen(figures, rate))
    return console.export_text()


def stocks(text: str) -> int:
    """How many the screen says that it shows."""
    heading = re.search(r"(\d+) of 20 stocks", text)
    return int(heading[1]) if heading else 0


def test_the_screen_tells_how_many_readers_are_there_before_the_prices() -> None:
    assert "400 of 1,000" in shown(figures(), None)
    assert line(figures(), None) == "connecting: 400 of 1,000 readers subscribed"


def test_the_screen_shows_figures_and_ticks() -> None:
    text = shown(replaying(), 200_000.0)

    for part in ("1990-01-03", "12,340,000", "200,000", "8 of 20 stocks", "AAPL", "2.000", "+100.00 %", "▁█"):
        assert part in text
    assert line(replaying(), 200_000.0) == (
        "1990-01-03  12,340 prices published, 12,340,000 deliveries, 200,000 deliveries/s, 400 readers"
    )


@pytest.mark.parametrize("height", [12, 24])
@pytest.mark.parametrize("width", range(28, 81))
def test_no_number_is_cut_however_small_the_terminal(width: int, height: int) -> None:
    text = shown(replaying(), 1_234_567.0, width, height)

    assert set(re.findall(r"[\d,]*,\d+", text)) == {"12,340", "12,340,000", "1,234,567", "16,400"}
    assert {"1990-01-03", "400"} <= set(re.findall(r"[\d-]+", text))
    assert len(re.findall(r"^│ [A-Z]{2,5} +\d+\.000 +\+\d+\.\d\d % ", text, re.MULTILINE)) == stocks(text)
    assert len(text.splitlines()) < height or width < 40  # where labels take two lines


def test_a_rate_that_is_not_known_yet_is_left_out() -> None:
    assert Rate().add(12_340) is None
    assert line(replaying(), None) == "1990-01-03  12,340 prices published, 12,340,000 deliveries, 400 readers"


def test_one_reader_is_not_many() -> None:
    alone = replaying()
    alone.subscribed = 1

    assert line(alone, None).endswith(" deliveries, 1 reader")
    assert line(Figures(1, alone.symbols), None) == "connecting: 0 of 1 reader subscribed"


def test_a_sparkline_runs_from_the_lowest_to_the_highest() -> None:
    assert sparkline([1, 2, 3, 8]) == "▁▂▃█"
    assert sparkline([5, 5]) == "▁▁"
