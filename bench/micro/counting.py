"""Runs under callgrind, with the source tree that PYTHONPATH names: each workload, and a mark around its steps."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Sequence

from micro.workloads import DOOR, SUITES

WARM = 100  # steps that are not counted: the interpreter adapts to what runs often
STEPS = 50  # that are


def main(library: str, suites: Sequence[str]) -> None:
    """Count the steps of all workloads. One that this tree cannot do is said on standard error, and left out."""
    marks = ctypes.CDLL(library)
    gc.disable()
    for suite in suites:
        for name, make in (SUITES | DOOR)[suite].items():
            try:
                step = make()
                for _ in range(WARM):
                    step()
            except Exception as error:
                print(f"{suite}: {name}: {error!r}", file=sys.stderr)
                continue
            mark = f"{suite}: {name}".encode()
            marks.begin()
            for _ in range(STEPS):
                step()
            marks.end(mark)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
