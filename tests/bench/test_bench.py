"""`tickwire bench` measures what it says, and shows no figures of a run that lost a message."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
from rich.console import Console

from tickwire_bench import programs, running
from tickwire_bench.cases import CASES
from tickwire_bench.cases.loads import LoadCase, Step, disturbed
from tickwire_bench.figures.plots import draw
from tickwire_bench.figures.sheet import Plot, Sheet, markdown, promised, show
from tickwire_bench.figures.unit import MILLIONS, SHARE, TIMES
from tickwire_bench.processes import Server

from .test_load import FIRST, SUBSCRIBED, THIRD, WELCOME, saying


def test_a_case_is_measured_shown_saved_and_drawn(tmp_path: Path) -> None:
    short = ["--runs", "1", "--seconds", "0.2"]
    ended = bench(
        "--case", "fanout-1000", "--case", "ingest", *short, "--json", "now.json", "--page", "now.md", cwd=tmp_path
    )

    assert ended.returncode == 0, ended.stderr
    assert "1,000 readers, 16 in flight, 1 message a frame" in ended.stdout
    assert "16 publishers, 64 messages a frame" in ended.stdout
    figures = json.loads((tmp_path / "now.json").read_text())
    assert figures["runs"]["ingest"][0]["1 publisher, 1 message a frame"]["published"] > 100
    page = (tmp_path / "now.md").read_text()
    assert "tickwire bench --case fanout-1000 --case ingest --runs 1 --seconds 0.2\n" in page
    assert all(f"(now/{file.name})" in page for file in (tmp_path / "now").iterdir())
    again = bench("--from", "now.json", cwd=tmp_path)
    assert again.stdout == ended.stdout


def test_of_several_files_the_later_ones_count() -> None:
    first = {"runs": {"a": [1], "b": [2]}, "failed": {"c": "lost", "d": "lost"}, "command": "one", "machine": {}}
    second = {"runs": {"b": [3], "c": [4]}, "failed": {"e": "lost"}, "command": "two", "machine": {}}

    both = running.merged([first, second])

    assert both["runs"] == {"a": [1], "b": [3], "c": [4]}
    assert both["failed"] == {"d": "lost", "e": "lost"}
    assert both["command"].split() == ["one", "two"]


def test_all_cases_have_tables_of_their_own_figures() -> None:
    titles = [case.title for case in CASES.values()]

    assert len(set(titles)) == len(titles) == len(CASES)
    ended = bench("--list")
    assert [line.split()[0] for line in ended.stdout.splitlines()] == list(CASES)


def test_a_run_that_lost_a_message_has_no_figures(tmp_path: Path) -> None:
    @contextmanager
    def losing(_: Path) -> Iterator[Server]:
        with lying(WELCOME, SUBSCRIBED, FIRST, THIRD) as port, subprocess.Popen(["true"]) as process:
            yield Server("a server that loses", os.getpid(), port, process, 0.0)

    options = ("--readers", 1, "--publishers", 0, "--expect", 9)
    case = LoadCase("lossy", "a server that loses", (Step("one", options, "losing"),), servers={"losing": losing})

    effort = running.effort(quick=True, runs=1, seconds=0.3)
    runs, failed, code = running.measure([case], effort, tmp_path, Console(quiet=True))

    assert (runs, code) == ({}, 1)
    assert "load on a server that loses: load: reader 0: bench.0 goes on at offset 2, expected 1" in failed["lossy"]
    results = {
        "machine": {},
        "runs": {},
        "failed": {"fan-out": "reader 3 lost 16 messages"},
        "command": "tickwire bench",
    }
    console = Console(record=True, width=100)
    running.show(console, results)
    running.write_page(results, tmp_path / "page.md")
    told = [console.export_text(), (tmp_path / "page.md").read_text()]
    assert all("has no figures: reader 3 lost 16 messages" in text for text in told)


def test_what_a_load_generator_could_not_keep_up_with_is_said() -> None:
    run = {
        "deliveries_per_s": 9e5, "server_cpu_us_per_delivery": 1.0, "latency_us": {"p50": 1.0, "p99": 2.0},
        "server_cpu_s": 0.5, "seconds": 1.0, "own_cpu_share": 0.99, "server_wait_s": 0.0, "own_wait_s": 0.2,
        "rate": 1_000, "published_per_s": 900,
    }  # fmt: skip

    (sheet,) = LoadCase("x", "x", (Step("it", ()),)).sheets([{"it": run}])

    assert sheet.doubts == [
        "it: the load tool's limit, not the server's",
        "it: disturbed, other processes had one of the cores for 20 % of the time",
        "it: less was published than asked for; the latency is of messages that were late already",
    ]


def test_what_came_out_of_a_machine_that_was_disturbed_is_told_as_that() -> None:
    goal = promised("rate", TIMES, [5], 4)
    calm, shaken = Sheet("", [""], goals=[goal], doubts=["x: late"]), Sheet("", [""], doubts=disturbed("x", [0.1]))

    assert calm.outcome(goal) == "rate: 5x; promised at least 4x: reached"
    assert shaken.outcome(goal) == "rate: 5x; promised at least 4x: reached, though disturbed"
    assert disturbed("x", [0.01, 0.04, 0.9]) == []


def test_a_goal_is_of_the_median_and_says_which_way_it_was_promised() -> None:
    more, less = promised("rate", TIMES, [1, 9, 5], 5, 8), promised("bytes", SHARE, [0.5, 0.3, 0.41], 0.4, most=True)

    assert str(more) == "rate: 5x (1 to 9); promised at least 5x, hoped for 8x: reached"
    assert str(less) == "bytes: 41 % (30 to 50); promised at most 40 %: MISSED"
    assert MILLIONS.spread([2_500_000]) == "2.5 M"


def test_a_sheet_is_a_table_with_bars_at_the_terminal_and_markdown_on_a_page(tmp_path: Path) -> None:
    sheet = Sheet("a title", ["", "rate"], [["a", "4"], ["b [x]", "2"]], bars=[4.0, 2.0], note="Why.")
    console = Console(record=True, width=120)

    show(console, sheet)

    shown = console.export_text()
    assert [line.split() for line in shown.splitlines() if "█" in line] == [
        ["a", "4", "█" * 18],
        ["b", "[x]", "2", "█" * 9],
    ]
    show(narrow := Console(record=True, width=80), sheet)
    assert "█" not in narrow.export_text()
    assert markdown(sheet) == "## a title\n\n|  | rate |\n|---|--:|\n| a | 4 |\n| b [x] | 2 |\n\n\nWhy.\n"
    for plot in (None, Plot("readers", "us", {"one": [(1, 5.0), (10, 2.0)]})):
        sheet.plot = plot
        draw(sheet, tmp_path / "plot.svg")
        assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_the_programs_are_built_anew_when_a_source_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "floor" / "hello.c"
    source.parent.mkdir()
    (tmp_path / "floor" / "websocket.c").write_text("")
    monkeypatch.setattr(programs, "SOURCES", tmp_path)
    monkeypatch.setattr(programs, "directory", lambda: tmp_path)
    says = '#include <stdio.h>\nint main(void) {{ puts("{}"); }}\n'

    for word in ("one", "two"):
        source.write_text(says.format(word))
        os.utime(source, (2e9 if word == "two" else 1e9,) * 2)
        assert subprocess.check_output([programs.floor("hello")], text=True) == f"{word}\n"

    source.write_text("no C")
    with pytest.raises(programs.CannotBuild, match="floor-hello could not be compiled"):
        programs.floor("hello")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(programs.CannotBuild, match="install gcc"):
        programs.floor("hello")


def test_a_cache_that_cannot_be_made_is_told_and_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "_CHECKOUT", tmp_path / "installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no directory")

    with pytest.raises(programs.CannotBuild, match=r"cannot be made, .*: Not a directory; set XDG_CACHE_HOME"):
        programs.load()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--case", "lunch"], "'lunch' is none of one, fanout-1,"),
        (["--runs", "0"], "0 is not in the range 1<=x<=50"),
        (["--seconds", "nan"], "nan is not a number"),
        (["--seconds", "0.1"], "0.1 is not in the range 0.2<=x<=60"),
        (["--json", "same.md", "--page", "same.md"], "same.md cannot be the figures and the page"),
        (["--page", "now"], "now has no suffix: its plots go into a folder of that name; call it now.md"),
        (["--from", "nowhere.json"], "'nowhere.json' does not exist"),
        (["--from", __file__, "--quick"], "--from shows all that was measured"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(arguments: list[str], sentence: str) -> None:
    ended = bench(*arguments)

    assert (ended.returncode in (1, 2), ended.stdout) == (True, "")
    assert sentence in " ".join(ended.stderr.replace("│", "").split())


@pytest.mark.parametrize("option", ["--json", "--page"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(option: str) -> None:
    ended = bench("--case", "one", option, "nowhere/now.md")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nowhere/now.md cannot be written: No such file or directory" in ended.stderr


ENDED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


@pytest.mark.parametrize("number", ENDED, ids=lambda number: number.name)
def test_a_bench_that_is_ended_ends_what_it_has_started(number: signal.Signals, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("tickwire")), "bench", "--case", "ingest", "--seconds", "30"]
    process = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        started = loaded(psutil.Process(process.pid))
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()

    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
    assert process.returncode == ENDED[number]
    if number != signal.SIGKILL:
        assert "ingest has no figures: it was interrupted" in said
        assert list(tmp_path.iterdir()) == []


def test_who_interrupts_has_what_was_measured_and_loses_nothing_where_nothing_was(tmp_path: Path) -> None:
    short = ["--case", "one", "--seconds", "0.2", "--runs", "1", "--json", "some.json"]

    assert interrupted(tmp_path, *short, "--case", "ingest") == 130
    measured = (tmp_path / "some.json").read_text()
    assert interrupted(tmp_path, "--case", "ingest", "--seconds", "30", "--json", "some.json") == 130

    assert list(json.loads(measured)["runs"]) == ["one"]
    assert (tmp_path / "some.json").read_text() == measured


def interrupted(directory: Path, *options: str) -> int:
    """Ended in its case `ingest`; its exit code."""
    command = [str(Path(sys.executable).with_name("tickwire")), "bench", *options]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rstrip().endswith("ingest"):
                break
        loaded(psutil.Process(process.pid))
        process.send_signal(signal.SIGINT)
        return process.wait(30)
    finally:
        process.kill()
        process.communicate()


def loaded(bench: psutil.Process) -> list[psutil.Process]:
    """What it has started, once the load is there, which is the last."""
    while bench.status() != psutil.STATUS_ZOMBIE:
        with contextlib.suppress(psutil.NoSuchProcess):
            started = bench.children(recursive=True)
            if any("--server-pid" in each.cmdline() for each in started):
                return started
    raise AssertionError("it ended before it had begun")


@pytest.mark.parametrize("text", ["[]", "{}", "x", '{"runs": 1, "machine": {}}'])
def test_a_file_that_is_no_bench_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "figures.json").write_text(text)

    ended = bench("--from", "figures.json", cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "figures.json has no figures of this bench in it" in ended.stderr


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tickwire")), "bench", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=110)


@contextmanager
def lying(*words: str) -> Iterator[int]:
    """`saying`, for a load tool that is waited for by a thread."""
    loop, done, started = asyncio.new_event_loop(), asyncio.Event(), Event()
    port: list[int] = []

    async def run() -> None:
        async with saying(*words) as number:
            port.append(number)
            started.set()
            await done.wait()

    thread = Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    started.wait(10)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
