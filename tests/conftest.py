"""Hypothesis profiles, for every day, long runs and planted bugs; Ctrl-C for child processes; less garbage."""

from __future__ import annotations

import gc
import os
import signal

from hypothesis import HealthCheck, Phase, settings

# Half of what hypothesis has by itself: with a hundred the tests take two minutes more, and `long` is for the long run.
settings.register_profile("default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("default"), max_examples=2_000)
settings.register_profile("no-shrink", parent=settings.get_profile("default"), phases=[Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Started in the background by a shell, this process ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave thousands of tests out of each garbage collection: one took 0.2 s, and some tests ask for sixty."""
    gc.collect()
    gc.freeze()
