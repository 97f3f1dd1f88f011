"""What the disk itself gives: one page written and synced, again and again, with no server in between."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tickwire_bench.meters import flushes
from tickwire_bench.processes import SERVER_CORE, Figures, on_core

PAGE = bytes(4096)
PREPARED = 16 << 20  # bytes of the file that is written over, again and again
_QUIET_WITHIN_S = 10.0
_LOOKS = 100  # pages in a look


def measure(directory: Path, seconds: float) -> Figures:
    """Pages a second: at the end of a file that grows, and over pages that the file has already."""
    with on_core(SERVER_CORE), _file(directory / "pages") as file:
        grown = _pages(file, directory, seconds / 2, 1 << 62)
        os.pwrite(file, bytes(PREPARED), 0)
        os.fsync(file)
        written_over = _pages(file, directory, seconds / 2, PREPARED)
    return {"appended": grown, "written_over": written_over}


class Quiet:
    """Waits until the disk is as fast as it was: gigabytes that were just removed keep it busy for seconds."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "quiet"
        self._best = math.inf  # seconds of a page that is written over: the median of the best look

    def wait(self) -> None:
        """For ten seconds at most, then it is the disk that is so."""
        os.sync()
        deadline = time.perf_counter() + _QUIET_WITHIN_S
        with _file(self._path) as file:
            os.pwrite(file, bytes(_LOOKS * len(PAGE)), 0)
            os.fsync(file)
            while (now := _median_s(file)) > 2 * self._best and time.perf_counter() < deadline:
                time.sleep(0.2)
        self._best = min(self._best, now)


def _median_s(file: int) -> float:
    waits: list[float] = []
    for at in range(_LOOKS):
        start = time.perf_counter()
        os.pwrite(file, PAGE, at * len(PAGE))
        os.fdatasync(file)
        waits.append(time.perf_counter() - start)
    return median(waits)


def _pages(file: int, directory: Path, seconds: float, until: int) -> Figures:
    flushed, start = flushes(directory), time.perf_counter()
    count, end = 0, start + seconds
    while (now := time.perf_counter()) < end:
        os.pwrite(file, PAGE, count * len(PAGE) % until)
        os.fdatasync(file)
        count += 1
    after = flushes(directory)
    rate = None if after is None or flushed is None else (after - flushed) / (now - start)
    return {"pages_per_s": count / (now - start), "flushes_per_s": rate}


@contextmanager
def _file(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield file
    finally:
        os.close(file)
        path.unlink()
