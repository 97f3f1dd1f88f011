"""Runs the cases, tells how far it is, and shows, saves and draws what came out."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tickwire_bench import machine, programs
from tickwire_bench.cases import CASES
from tickwire_bench.cases.effort import FULL, QUICK, Case, Effort
from tickwire_bench.figures import sheet
from tickwire_bench.figures.sheet import Sheet
from tickwire_bench.processes import LOAD_CORE, SERVER_CORE, Figures, RunFailed, exit_code, prepare
from tickwire_bench.progress import metered

Results = dict[
    str, Any
]  # "command", "machine", "effort", "runs": the figures of each run by the key of the case, "failed"

_INTRODUCTION = """\
# Tickwire on this machine

Medians, with the smallest and the largest run in parentheses. What is measured and how, and what such a number is not,
is in the README of Tickwire's bench.
"""


INTERRUPTED = "it was interrupted, and so were those behind it"


class CannotRun(Exception):
    """There are no figures, and why: a message was lost, or something that a case needs is not there."""


def effort(quick: bool, runs: int | None, seconds: float | None) -> Effort:
    """The full one or a look, with what was asked for in their place."""
    chosen = QUICK if quick else FULL
    return dataclasses.replace(chosen, runs=runs or chosen.runs, seconds=seconds or chosen.seconds)


def run(keys: Sequence[str], wanted: Effort, command: str, errors: Console) -> tuple[Results, int]:
    """Measure those cases, or all; and an exit code. Raises CannotRun."""
    if SERVER_CORE == LOAD_CORE:
        errors.print(
            "Only one core: the server and the load take turns on it, so the figures say little.", style="yellow"
        )
    prepare()
    where = machine.describe()
    scratch = Path(tempfile.mkdtemp(prefix="tickwire-bench-"))
    try:
        programs.load()
        runs, failed, code = measure([CASES[key] for key in keys or CASES], wanted, scratch, errors)
    except programs.CannotBuild as failure:
        raise CannotRun(str(failure)) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    asked = {"command": command, "machine": where, "effort": dataclasses.asdict(wanted)}
    return {**asked, "runs": runs, "failed": failed}, code


def measure(
    cases: Sequence[Case], wanted: Effort, scratch: Path, console: Console
) -> tuple[dict[str, list[Figures]], dict[str, str], int]:
    """The runs of each case; why there are none of those in which a message was lost, or a process failed; a code."""
    runs: dict[str, list[Figures]] = {}
    failed: dict[str, str] = {}
    with metered(sum(case.turns(wanted) for case in cases), console) as meter:
        for case in cases:
            done = meter.turns
            try:
                runs[case.key] = list(case.measure(wanted, scratch / case.key, meter))
            except KeyboardInterrupt as end:
                failed[case.key] = INTERRUPTED
                return runs, failed, exit_code(end)
            except RunFailed as failure:
                failed[case.key] = str(failure)
                meter.skip_to(done + case.turns(wanted))
    return runs, failed, 1 if failed else 0


def check_files(file: Path | None, page: Path | None) -> None:
    """Where the figures are to go, before anything is measured for them. Raises CannotRun."""
    if page is not None and not page.suffix:
        raise CannotRun(f"{page} has no suffix: its plots go into a folder of that name; call it {page.name}.md")
    if file is not None and page is not None and file.resolve() == page.resolve():
        raise CannotRun(f"{file} cannot be the figures and the page")
    for path in (file, page):
        if path is not None:
            _check_writable(path)


def _check_writable(file: Path) -> None:
    there = file.exists()
    try:
        with file.open("a"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise CannotRun(f"{file} cannot be written: {error.strerror}") from None


def save(results: Results, file: Path) -> None:
    """Every run's figures, for later."""
    file.write_text(json.dumps(results, indent=1) + "\n")


def load(file: Path) -> Results:
    """What `save` has written. Raises CannotRun where that is something else."""
    try:
        results: Results = json.loads(file.read_text())
        if not isinstance(results["runs"], dict) or not isinstance(results["machine"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise CannotRun(f"{file} has no figures of this bench in it") from None
    return results


def merged(files: Sequence[Results]) -> Results:
    """The figures of several times that the bench ran. Of a case that was measured twice the later time counts."""
    results, *others = files
    for other in others:
        results["runs"] |= other["runs"]
        failed = {key: why for key, why in results.get("failed", {}).items() if key not in other["runs"]}
        results["failed"] = failed | other.get("failed", {})
        results["command"] += f"\n    {other['command']}"
    return results


def show(console: Console, results: Results) -> None:
    """All tables."""
    console.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()), style="dim")
    for each in _sheets(results):
        sheet.show(console, each)
    if any(len(runs) > 1 for runs in results["runs"].values()):
        console.print(sheet.legend(console, "run"))
    for key, why in results.get("failed", {}).items():
        console.print(f"{key} has no figures: {why}", style="red", markup=False)


def write_page(results: Results, page: Path) -> None:
    """The tables in Markdown, and beside it a folder of its name with the plots."""
    from tickwire_bench.figures import plots

    folder = page.with_suffix("")
    origin = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in results["machine"].items())
    parts = [_INTRODUCTION, f"## Where they come from\n\n    {results['command']}\n\n{origin}\n"]
    for number, each in enumerate(_sheets(results)):
        parts.append(sheet.markdown(each))
        if each.bars or each.plot:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{number:02}.svg"
            plots.draw(each, folder / name)
            parts.append(f"![{each.title}]({folder.name}/{name})\n")
    parts += [f"**{CASES[key].title}** has no figures: {why}\n" for key, why in results.get("failed", {}).items()]
    page.write_text("\n".join(parts))


def _sheets(results: Results) -> Iterator[Sheet]:
    for key, case in CASES.items():
        if runs := results["runs"].get(key):
            yield from case.sheets(runs)
