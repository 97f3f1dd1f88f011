"""`make chaos`: a broker that is killed again and again under acknowledged load, and proof that nothing was lost."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import schedule
from .broker import Broker, RunFailed
from .checker import check
from .crew import Crew, cast
from .full_disk import FullDisk
from .proxy import Proxy
from .recorder import read
from .report import Proof, show
from .run import Run
from .skewed import set_clock
from .small_disk import can_be_made, small_disk
from .verdict import Verdict

FULL_LIVES = 4
ACK_TIMEOUT = 4.0
_SOONEST = 0.1  # seconds from a broker's start until it can listen, at least: Python alone takes longer
INTERRUPTED = 130

Report = Callable[..., None]


@dataclass(frozen=True)
class Plan:
    """What the run is to be. It ends after so many kills, or after so many seconds."""

    seed: int
    kills: int
    seconds: float
    life_seconds: float = 0.7
    per_second: float = 50.0  # publish frames of each publisher
    ack_timeout: float = ACK_TIMEOUT
    full_disk: bool = True
    durable: bool = True
    few: bool = False  # clients


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", type=int, help="Replay the schedule of a run that had it.  [default: a new one]")
@click.option("--kills", type=click.IntRange(1, 100_000), default=200, show_default=True, help="End after so many.")
@click.option("--for", "seconds", type=click.FloatRange(1, 86_400), default=86_400.0, help="End after so many seconds.")
@click.option(
    "--life",
    "life_seconds",
    type=click.FloatRange(0.1, 60),
    default=0.7,
    show_default=True,
    help="How long a life of the broker is, on average, in seconds.",
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 500),
    default=50.0,
    show_default=True,
    help="Publish frames a second of each of the three publishers.",
)
@click.option(
    "--full-disk/--no-full-disk",
    default=True,
    show_default=True,
    help="End with lives on a small tmpfs that becomes full; this needs root.",
)
@click.option(
    "--memory", is_flag=True, help="A broker without a directory: it must announce each epoch, and lose nothing within."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the records and the store there.")
def main(
    seed: int | None,
    kills: int,
    seconds: float,
    life_seconds: float,
    rate: float,
    full_disk: bool,
    memory: bool,
    keep: Path | None,
) -> None:
    """Kill the broker again and again while publishers, readers and consumers are at work, then check all they had.

    Exits with 1 where a rule of the delivery contract was broken, or where something that is to be shown never
    happened: no acknowledgment, no publish in flight at a kill, no resume, no dropped repeat, no redelivery.
    """
    console = Console()
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    console.print(f"seed {seed}", highlight=False)
    full_disk = full_disk and not memory
    if full_disk and not can_be_made():
        console.print("without the lives on a full disk: only root can make a small one")
        full_disk = False
    plan = Plan(seed, kills, seconds, life_seconds, rate, ACK_TIMEOUT, full_disk, not memory)
    with _folder(keep) as folder:
        try:
            proof = asyncio.run(prove(plan, folder, console))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except RunFailed as failed:
            _show_failure(failed, folder, console)
            sys.exit(1)
        show(proof, console)
        if not proof.holds:
            kept = folder if keep else shutil.copytree(folder, tempfile.mkdtemp(prefix="tickwire-chaos-") + "/run")
            console.print(f"seed {seed}; the records are in {kept}", highlight=False)
    sys.exit(0 if proof.holds else 1)


def _show_failure(failed: RunFailed, folder: Path, console: Console) -> None:
    for log in ("broker.log", "clients.log"):
        if (folder / log).exists():
            console.print(f"the end of {log}:", style="bold")
            console.print((folder / log).read_text()[-3000:], markup=False, highlight=False)
    console.print(str(failed), style="bold red", highlight=False)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tickwire-chaos-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True)
        yield keep.absolute()


async def prove(plan: Plan, folder: Path, console: Console) -> Proof:
    """Run it, and check what everyone wrote down. Raises RunFailed where a broker ended that nobody had killed."""
    set_clock(folder / "clock", 0.0)
    began = time.monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        task = progress.add_task("", total=plan.kills)

        def report(what: str, kills: int | None = None) -> None:
            progress.update(task, description=what, completed=kills)

        async with _run(plan, folder) as run:
            await _live(plan, run, report)
            if plan.full_disk:
                await _end_on_a_full_disk(plan, run, folder, report)
            else:
                await _end(run, report)
        report("checking")
        verdict = await asyncio.to_thread(_check, folder, plan.durable)
    return Proof(plan.durable, plan.full_disk, verdict, run.counts, int(run.broker.repeats), time.monotonic() - began)


@contextlib.asynccontextmanager
async def _run(plan: Plan, folder: Path) -> AsyncIterator[Run]:
    broker = Broker(_free_port(), folder / "store" if plan.durable else None, folder / "clock", folder / "broker.log")
    async with Proxy(broker.port, plan.seed) as proxy, aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{proxy.port}"
        crew = Crew(cast(plan.per_second, plan.ack_timeout, plan.few), url, folder, plan.seed)
        run = Run(folder, broker, proxy, crew, session)
        try:
            await crew.start()
            yield run
        finally:
            await crew.stop()
            await broker.kill()


async def _live(plan: Plan, run: Run, report: Report) -> None:
    until = time.monotonic() + plan.seconds
    for life in schedule.lives(plan.seed, plan.life_seconds):
        if run.counts.kills >= plan.kills or time.monotonic() > until:
            break
        report(f"life {life.number}: killed {life.end}", run.counts.kills)
        await run.live(life)


async def _end_on_a_full_disk(plan: Plan, run: Run, folder: Path, report: Report) -> None:
    assert run.broker.store is not None
    with small_disk(folder / "disk", run.broker.store) as run.broker.store:
        full_disk = FullDisk(run, folder / "disk")
        await full_disk.begin()
        for life in schedule.full_lives(plan.seed, FULL_LIVES):
            report(f"full disk, {life.number + 1} of {FULL_LIVES}", run.counts.kills)
            await full_disk.live(life)
        full_disk.end()
        await _end(run, report)


async def _end(run: Run, report: Report) -> None:
    await run.come_to_an_end(report)
    if run.broker.store is None:
        return
    report("reading the store for damage")
    checked = await asyncio.to_thread(_check_data, run.broker.store)
    if checked.returncode:
        run.counts.troubles.append(f"check-data ended with {checked.returncode}: {checked.stdout}{checked.stderr}")


def _check_data(store: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tickwire.server.cli", "check-data", str(store)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _check(folder: Path, durable: bool) -> Verdict:
    return check(map(read, sorted(folder.glob("*.jsonl"))), durable, _SOONEST)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
