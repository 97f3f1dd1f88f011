"""The thread beside the loop: what it does comes back in order, errors too."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tickwire.server.histogram import Histogram
from tickwire.server.worker import Worker


async def test_jobs_are_done_one_after_another_beside_the_loop_and_told_on_it() -> None:
    worker, told = Worker("test"), []

    def job(n: int) -> tuple[int, str]:
        return n // (n - 2), threading.current_thread().name

    def done(outcome: object, error: Exception | None) -> None:
        told.append((outcome, type(error), threading.current_thread() is threading.main_thread()))

    for n in (1, 2, 3):
        worker.do(lambda n=n: job(n), done)
    await worker.finish()

    nothing = type(None)
    assert told == [((-1, "test"), nothing, True), (None, ZeroDivisionError, True), ((3, "test"), nothing, True)]


async def test_the_last_job_is_waited_for_and_its_error_is_raised() -> None:
    worker, held = Worker("test"), threading.Event()

    def last() -> None:
        held.wait(10)
        raise ZeroDivisionError

    finishing = asyncio.ensure_future(worker.finish(last))
    await asyncio.sleep(0)
    assert not finishing.done()
    held.set()

    with pytest.raises(ZeroDivisionError):
        await finishing
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_a_histogram_counts_what_is_at_most_as_large_as_each_bound() -> None:
    histogram = Histogram((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.add(value)

    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == 5.5
