"""Published over connections that are cut again and again: every message is stored once, in its order."""

from __future__ import annotations

import asyncio
import random

import pytest

from client.scripted import States
from client.test_leaving import cut
from tickwire.server import Broker, Settings
from tickwire_client import Receipt, connect

pytestmark = pytest.mark.usefixtures("frames_either_way")


@pytest.mark.parametrize("seed", range(3))
async def test_every_publish_is_stored_once_however_often_the_connection_goes(seed: int) -> None:
    chance, states, broker = random.Random(seed), States(), Broker(Settings())
    begun: list[int] = []

    async def publish(at: int) -> Receipt:
        """One message, of each ten one as a batch, in a turn of the loop of its own."""
        for _ in range(at % 30 % 4):
            await asyncio.sleep(0)
        begun.append(at)
        if at % 10:
            return await client.publish("t", at)
        async with client.batch() as batch:
            batch.add("t", at)
        return batch.receipts[0]

    async with broker.serving(port=0) as url, connect(url, on_state=states) as client:
        client._connection._backoff.cap = 0.02
        publishes: list[asyncio.Task[Receipt]] = []
        for round in range(20):
            publishes += [asyncio.create_task(publish(30 * round + at)) for at in range(30)]
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            cut(client)
            await states.reach("connected", round + 2)
        receipts = await asyncio.gather(*publishes)
        stored = [(message.data, message.offset) async for message in client.history("t")]

    assert [at for at, _ in stored] == begun
    assert sorted(stored) == [(at, receipt.offset) for at, receipt in enumerate(receipts)]
    assert broker.engine.stats.repeats > 0
