"""`python -m proof.skewed CLOCK serve ...`: the command, with a wall clock that somebody else sets.

The file CLOCK holds the nanoseconds by which it is wrong, eight bytes; they may change while it runs.
"""

from __future__ import annotations

import ctypes
import mmap
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def skew(clock: Path) -> None:
    """Let `time.time_ns` and `time.time` be wrong by what the file says."""
    with clock.open("rb") as file:
        wrong = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    right: Callable[[], int] = time.time_ns

    def time_ns() -> int:
        return right() + int(struct.unpack("<q", wrong)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def set_clock(clock: Path, seconds: float) -> None:
    """Make it wrong by so many seconds from now on."""
    block = struct.pack("<q", int(seconds * 1e9))
    if clock.exists():
        with clock.open("r+b") as file:
            file.write(block)
    else:
        clock.write_bytes(block)


def end_with_parent() -> None:
    """Be killed where the run is, that started this: its broker would stay for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    end_with_parent()
    skew(Path(sys.argv.pop(1)))
    from tickwire.server.cli import main as command

    command()


if __name__ == "__main__":
    main()
