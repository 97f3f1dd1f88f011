"""`tickwire check-data`: reads all that a data directory holds, and says what in it is damaged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from tickwire.wire.errors import TickwireError

from .client import Mistake
from .text import escape_controls

if TYPE_CHECKING:
    from tickwire.store.disk import Report

_PATIENCE = 2.0  # seconds without a sign of life; what is shorter needs none


@click.command("check-data", short_help="Read a whole data directory, and report damage.")
@click.argument("directory", metavar="DIR")
def check_data(directory: str) -> int:
    """Read all of DIR, the --data directory of a broker that is stopped, and report what is damaged.

    Nothing is changed. A broker does not show damaged messages to anybody: its readers are told of a gap.

    Exit code: 0 when all is sound, 1 when something is damaged, 2 when DIR cannot be checked.
    """
    from tickwire.store.disk import check

    try:
        with _progress() as progress:
            report = check(directory, progress)
    except TickwireError as error:
        raise Mistake(str(error)) from None
    for finding in report.findings:
        click.echo(escape_controls(str(finding)))
    if report.left_out:
        click.echo(f"and {report.left_out:,} more findings like these")
    click.echo(_summary(directory, report))
    return 0 if report.sound else 1


def _summary(directory: str, report: Report) -> str:
    messages, sections = _counted(report.messages, "message"), _counted(report.sections, "section")
    read = f"{messages} in {sections} of {_counted(report.topics, 'topic')}"
    size = f"{report.bytes / 1e6:,.1f} MB" if report.bytes >= 100_000 else f"{report.bytes / 1e3:,.1f} kB"
    if report.sound:
        return f"{directory} is sound: {read}, {size}"
    damaged = len({finding.topic for finding in report.findings if finding.topic is not None})
    where = f" in {_counted(damaged, 'topic')}" if damaged else ""
    found = _counted(len(report.findings) + report.left_out, "finding")
    return f"{directory} is damaged: {found}{where}; sound are {read}, {size}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, at a terminal, for what takes longer than one likes to wait."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("reading", total=None)
    began, shown = time.monotonic(), False

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began > _PATIENCE:
            shown = True
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        if shown:
            bar.stop()
