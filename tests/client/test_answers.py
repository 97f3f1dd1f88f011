"""What is awaited is answered, however slow the readers of the same connection are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tickwire.server import Broker, Settings
from tickwire_client import Client, Gap, Message, Subscription, connect
from tickwire_client.buffer import OVERRUN_BYTES, OVERRUN_MESSAGES
from tickwire_client.feed import Feed
from tickwire_client.messages import Section

pytestmark = pytest.mark.usefixtures("frames_either_way")

MANY = 3_000


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with Broker(Settings()).serving(port=0) as url:
        yield url


async def flooded(client: Client, publisher: Client) -> Subscription[Message]:
    """A subscription with far more on its way than it may buffer; its reading is stopped."""
    subscription = await client.subscribe("in", max_buffered=10)
    for at in range(MANY):
        publisher.publish_nowait("in", at)
        if at % 50 == 0:
            await publisher.flush()
    await publisher.flush()
    await reading_stops(client)
    return subscription


async def reading_stops(client: Client) -> None:
    for _ in range(10_000):
        if client._connection.brake.on:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it reads on")


async def test_a_reader_may_publish_in_its_own_loop(url: str) -> None:
    async with connect(url, timeout=5) as client, connect(url) as publisher:
        subscription = await flooded(client, publisher)
        offsets = []
        async for message in subscription:
            assert message.data == message.offset == len(offsets)
            offsets.append((await client.publish("out", message.data)).offset)
            if len(offsets) == MANY:
                break

    assert offsets == list(range(MANY))


@pytest.mark.parametrize("verb", ["flush", "subscribe", "batch"])
async def test_a_reader_may_await_any_answer_in_its_own_loop(url: str, verb: str) -> None:
    async with connect(url, timeout=5) as client, connect(url) as publisher:
        subscription = await flooded(client, publisher)
        await anext(subscription)

        if verb == "flush":
            await client.flush()
        elif verb == "subscribe":
            await client.subscribe("other")
        else:
            async with client.batch() as batch:
                batch.add("out", 1)

        assert [(await anext(subscription)).data for _ in range(MANY - 1)] == list(range(1, MANY))


async def test_a_slow_reader_stops_the_reading_again_when_the_answer_is_there(url: str) -> None:
    async with connect(url) as client, connect(url) as publisher:
        subscription = await flooded(client, publisher)
        await client.publish("out", 1)
        await publisher.publish("in", MANY)

        await reading_stops(client)
        assert subscription._feed.full


@pytest.mark.parametrize(
    ("count", "size", "fit"), [(1 << 14, 1, 1 + (OVERRUN_MESSAGES >> 14)), (1, 1 << 20, 1 + (OVERRUN_BYTES >> 20))]
)
def test_what_waits_for_a_slow_reader_has_a_bound_and_the_rest_is_told(count: int, size: int, fit: int) -> None:
    feed = Feed(1, "a", max_messages=1 << 14, max_bytes=1 << 20, drop=False)
    payloads = [bytes(size)] * count

    for at in range(100):
        feed.add(Section("a", 77, at * count, 1, payloads, 0), at + 1)

    items = feed.take()
    assert sum(not isinstance(item, Gap) for item in items) == fit
    assert items[-1] == Gap("a", 77, fit * count, 100 * count, "dropped")
