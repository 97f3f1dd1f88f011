"""The loop stays awake for what comes soon, and for nothing else."""

from __future__ import annotations

import asyncio
import time

from tickwire.server.busy_poll import COMMIT, PUBLISH, BusyPoll

LIMIT = 0.05  # seconds: long enough that a busy machine does not blur what is soon


async def used_in(seconds: float) -> float:
    """What share of a core this process takes while its loop has nothing else to do."""
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - began)


async def test_it_stays_awake_where_the_last_came_soon() -> None:
    poll = BusyPoll(LIMIT)
    poll.expect(COMMIT)
    poll.expect(PUBLISH)
    poll.expect(COMMIT)

    assert poll.awake
    assert await used_in(LIMIT / 2) > 0.5


async def test_it_sleeps_when_nothing_comes_within_the_limit() -> None:
    poll = BusyPoll(LIMIT)
    poll.expect(COMMIT)
    await asyncio.sleep(3 * LIMIT)

    assert not poll.awake
    assert await used_in(LIMIT) < 0.5


async def test_it_sleeps_where_the_last_of_the_kind_was_late_until_one_is_quick_again() -> None:
    poll = BusyPoll(LIMIT)
    poll.expect(COMMIT)
    await asyncio.sleep(2 * LIMIT)  # a slow disk
    poll.expect(PUBLISH)
    assert poll.awake  # a publish may come soon, whatever the disk does

    poll.expect(COMMIT)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not poll.awake

    poll.expect(PUBLISH)
    poll.expect(COMMIT)
    assert poll.awake


async def test_a_limit_of_nothing_never_keeps_it_awake() -> None:
    poll = BusyPoll(0.0)
    for what in (COMMIT, PUBLISH, COMMIT):
        poll.expect(what)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert not poll.awake
