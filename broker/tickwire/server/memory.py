"""How much memory the process has, and how much it may have: before the kernel ends it, new work is refused."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_SHARE = 0.85  # of what there is for the process, where no bound is set
_BACK = 0.95  # of the bound, below which new work is taken again
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNBOUNDED = 1 << 60  # what cgroup v1 says where it has no limit is near 2^63


class Memory:
    """Look once a second; `full` says whether the process has more than it may. Nothing is known but on Linux."""

    def __init__(self, bound: int) -> None:
        self.bound = bound or int(_available() * _SHARE)
        self.full = False

    def look(self) -> bool:
        """Whether `full` has changed."""
        resident = resident_bytes()
        if not self.bound or not resident:
            return False
        before, self.full = self.full, resident > self.bound * (_BACK if self.full else 1)
        return self.full is not before


def resident_bytes() -> int:
    """Of this process; 0 where that cannot be known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _available() -> int:
    """What there is for the process: that of its control group, or of the machine; 0 where that cannot be known."""
    bounds = []
    for file in _CGROUPS:
        try:
            bounds.append(int(file.read_text()))
        except (OSError, ValueError):  # "max", or another kind of groups
            continue
    with contextlib.suppress(OSError, ValueError):
        bounds.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min((bound for bound in bounds if 0 < bound < _UNBOUNDED), default=0)
