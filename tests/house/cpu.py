"""How much of the CPU something takes, whatever else the machine does and other tests have left."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """The CPU seconds of this thread; the best of several, for the first one may also pay for memory."""
    taken = []
    gc.freeze()  # a hundred thousand lists make the collector look through all that thousands of tests have left
    try:
        for _ in range(times):
            start = time.thread_time()
            work()
            taken.append(time.thread_time() - start)
    finally:
        gc.unfreeze()
    return min(taken)
