"""A broker under siege, that lets everybody in who is near.

After each the process is the same, somebody who publishes and reads 100 messages a second has lost nothing, and memory
and descriptors have come back; at the end its p99 over all of it is below 100 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import psutil
import pytest

from .asking import ASKING
from .attackers import answer, dial, greeted, sources, upgrade
from .before_the_upgrade import BEFORE
from .frames import FRAMES
from .harness import P99_MS, Siege, besieged

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    topics = ("--max-topics", "20000", "--free-topic-after", "1", "--retain-seconds", "1")
    with besieged("--handshake-timeout", "1", "--hello-timeout", "1", *topics) as siege:
        yield siege


CASES = {**BEFORE.cases, **FRAMES.cases, **ASKING.cases}


@pytest.mark.parametrize("name", CASES)
async def test_the_bystander_notices_nothing_of(siege: Siege, name: str) -> None:
    before = siege.report()["got"]

    await CASES[name](siege.port)

    await asyncio.to_thread(siege.stands)  # our own sockets are closed meanwhile
    await asyncio.to_thread(siege.goes_on, before)


def test_the_latency_of_the_bystander_stayed_low(siege: Siege) -> None:
    """The last of this file: over all that was done to the broker."""
    found = siege.stands()

    assert found["p99_ms"] < P99_MS, found


async def test_where_descriptors_run_out_those_who_are_there_notice_nothing() -> None:
    with besieged("--handshake-timeout", "1", "--max-connections", "100000", open_files=200) as siege:
        for _ in range(3):
            async with contextlib.AsyncExitStack() as stack:
                came = 0
                with contextlib.suppress(OSError):
                    for source in sources(400):
                        await stack.enter_async_context(dial(siege.port, source))
                        came += 1
                assert came > 200
                await asyncio.sleep(1.5)
                assert siege.broker.cpu_percent(0.5) < 60  # it does not spin
            await asyncio.to_thread(siege.stands)
        async with greeted(siege.port):
            pass


async def test_what_is_over_the_cap_of_all_is_told_so() -> None:
    with besieged("--max-connections", "20") as siege:
        async with contextlib.AsyncExitStack() as stack:
            statuses = []
            for source in sources(25):
                raw = await stack.enter_async_context(dial(siege.port, source))
                raw.writer.write(upgrade())
                statuses.append((await answer(raw)).split()[1])
            assert statuses == [b"101"] * 19 + [b"503"] * 6
        await asyncio.to_thread(siege.stands)
    assert not psutil.pid_exists(siege.broker.pid)
