"""A broker that has as much memory as it may takes no new work, and goes on for those who read."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from house.client import connected
from tickwire.server import Broker, Settings, memory
from tickwire.server.memory import Memory, resident_bytes
from tickwire.wire.messages import Ack, Delivery, Publish, Refusal, Run, Subscribe, Subscribed


def test_what_is_resident_is_known_and_there_is_a_bound() -> None:
    before = resident_bytes()
    block = bytearray(64 << 20)

    assert 60 << 20 < resident_bytes() - before < 80 << 20
    assert len(block) < Memory(0).bound < 1 << 60


def test_new_work_is_taken_again_a_little_below_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = iter([99, 101, 99, 96, 94, 0])
    monkeypatch.setattr(memory, "resident_bytes", lambda: next(resident))
    guard = Memory(100)

    assert [(guard.look(), guard.full) for _ in range(6)] == [
        (False, False), (True, True), (False, True), (False, True), (True, False), (False, False)
    ]  # fmt: skip


async def test_above_it_publishes_and_connections_are_refused_and_readers_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker(Settings(beat_every=0.1, give_up_after=60.0))
    async with broker.serving(port=0) as url, connected(url) as client:
        await client.send(Subscribe(1, "a"))
        await client.expect(Subscribed)
        await client.send(Publish(2, [Run("a", [b"before"])]))
        assert (await client.expect(Delivery)).sections[0].payloads == [b"before"]

        monkeypatch.setattr(broker._door.memory, "bound", 1)
        async with asyncio.timeout(5):
            while broker.engine.short is None:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        for number in range(3):
            await client.send(Publish(number, [Run("a", [b"no"])]))
            refusal = await client.expect(Refusal)
            assert (refusal.id, refusal.code) == (number, "no_memory")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(url):
                pass
        assert refused.value.status == 503
        await client.send(Subscribe(3, "a", since=("earliest",)))
        await client.expect(Subscribed)

        monkeypatch.setattr(broker._door.memory, "bound", 1 << 60)
        async with asyncio.timeout(5):
            while broker.engine.short is not None:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        await client.send(Publish(9, [Run("a", [b"after"])]))
        assert await client.expect(Ack)
