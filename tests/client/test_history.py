"""What was kept, and where a subscription starts, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.scripted import States
from client.test_client import free_port
from tickwire.server import Broker, Settings
from tickwire_client import Client, Gap, Message, Position, Refused, connect
from tickwire_client import sync as scripts

pytestmark = pytest.mark.usefixtures("frames_either_way")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Broker(Settings()).serving(port=0) as url, connect(url) as client:
        yield client


async def data(messages: AsyncIterator[Message]) -> list[object]:
    return [message.data async for message in messages]


async def test_a_history_is_what_was_kept_up_to_now(client: Client) -> None:
    for at in range(10):
        await client.publish(f"t.{at % 2}", at)

    assert await data(client.history("t.0")) == [0, 2, 4, 6, 8]
    assert sorted(await data(client.history("t.*"))) == list(range(10))  # type: ignore[type-var]
    assert await data(client.history("t.1", limit=2)) == [1, 3]
    assert await data(client.history("t.*", since="last")) in ([8, 9], [9, 8])
    assert await data(client.history("nothing.here")) == []


async def test_a_history_may_begin_anywhere(client: Client) -> None:
    first = [await client.publish("t", at) for at in range(5)]
    await asyncio.sleep(0.05)
    then = datetime.now(UTC)
    await client.publish("t", 5)

    assert await data(client.history("t", since=first[3].position)) == [3, 4, 5]
    assert await data(client.history("t", since=first[3].position.next)) == [4, 5]
    assert await data(client.history("t", since=then)) == [5]
    assert await data(client.history("t", since=timedelta(minutes=1))) == list(range(6))


async def test_a_long_history_comes_whole_in_batches_and_slow_readers_hold_it(client: Client) -> None:
    for at in range(40_000):
        client.publish_nowait("t", at)
    await client.flush()

    async with client.history("t") as history:
        received: list[object] = []
        async for messages in history.batches():
            received += [message.data for message in messages]
            await asyncio.sleep(0)
        assert history.lost == 0

    assert received == list(range(40_000))
    assert (await client.publish("t", "the connection is free")).offset == 40_000


@pytest.mark.parametrize("since", ["earliest", "last", timedelta(minutes=1)])
async def test_a_subscription_that_starts_in_the_past_goes_on_live(client: Client, since: object) -> None:
    for at in range(5):
        await client.publish("t.a", at)

    async with client.subscribe("t.*", since=since) as subscription:  # type: ignore[call-overload]
        await client.publish("t.a", 5)
        received = [(await anext(subscription)).offset for _ in range(2 if since == "last" else 6)]

    assert received == ([4, 5] if since == "last" else list(range(6)))


async def test_it_starts_after_the_last_message_that_was_done(client: Client) -> None:
    for at in range(5):
        await client.publish("t", at)
    async with client.subscribe("t", since="earliest") as subscription:
        done = [await anext(subscription) for _ in range(3)][-1]

    async with client.subscribe("t", since=done.position.next) as subscription:
        assert [(await anext(subscription)).data for _ in range(2)] == [3, 4]


async def test_a_position_that_never_was_is_refused(client: Client) -> None:
    receipt = await client.publish("t", 1)

    with pytest.raises(Refused) as refused:
        await client.subscribe("t", since=Position("t", receipt.epoch, 100))

    assert refused.value.code == "future_position"


async def test_a_position_of_another_epoch_is_a_gap_and_then_all_there_is(client: Client) -> None:
    receipt = await client.publish("t", 1)
    position = Position("t", receipt.epoch + 1, 100)

    items = [item async for item in client.history("t", since=position, gaps=True)]

    gap, message = items
    assert gap == Gap("t", position.epoch, 100, None, "epoch")
    assert isinstance(message, Message)
    assert message.data == 1


async def test_what_is_kept_no_more_is_a_gap() -> None:
    async with Broker(Settings(retain_bytes=100_000)).serving(port=0) as url, connect(url) as client:
        first = await client.publish("t", payload=bytes(1_000))
        for _ in range(300):
            client.publish_nowait("t", payload=bytes(1_000))
        await client.flush()

        gap, *rest = [item async for item in client.history("t", since=first.position, gaps=True)]

    assert isinstance(gap, Gap)
    assert (gap.start, gap.reason) == (0, "evicted")
    assert [item.offset for item in rest if isinstance(item, Message)] == list(range(gap.end or 0, 301))


async def test_a_live_group_shares_what_comes(client: Client) -> None:
    async with (
        client.subscribe("t", group="workers") as one,
        client.subscribe("t", group="workers") as two,
        client.subscribe("t") as all,
    ):
        for at in range(50):
            await client.publish("t", at)
        shares: list[list[object]] = [[], []]
        for _ in range(50):
            await anext(all)
        for share, member in zip(shares, (one, two), strict=True):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    async for message in member:
                        share.append(message.data)

    assert sorted(shares[0] + shares[1]) == list(range(50))  # type: ignore[type-var]


async def test_readers_go_on_over_a_restart_of_a_broker_with_a_disk(tmp_path: Path) -> None:
    port, states = free_port(), States()
    settings = Settings(data=str(tmp_path))
    async with contextlib.AsyncExitStack() as stack:
        async with Broker(settings).serving(port=port) as url:
            client = await stack.enter_async_context(connect(url, on_state=states))
            subscription = await client.subscribe("t.*", gaps=True)
            await client.publish("t.a", 1)
            assert (await anext(subscription)).data == 1  # type: ignore[union-attr]
        await states.reach("reconnecting")
        waiting = asyncio.create_task(client.publish("t.a", 3))
        async with Broker(settings).serving(port=port) as url:
            async with connect(url) as other:
                await other.publish("t.b", 2)
            await states.reach("connected", 2)
            await waiting
            received = {item.data async for item in _first(subscription, 2)}  # type: ignore[union-attr]
            history = await data(client.history("t.*"))

    assert received == {2, 3}
    assert sorted(history) == [1, 2, 3]  # type: ignore[type-var]


async def _first(subscription: AsyncIterator[Message | Gap], count: int) -> AsyncIterator[Message | Gap]:
    for _ in range(count):
        yield await anext(subscription)


async def test_a_script_reads_what_was_kept() -> None:
    def script(url: str) -> None:
        with scripts.connect(url) as client:
            receipts = [client.publish("t", at) for at in range(5)]
            assert [message.data for message in client.history("t")] == list(range(5))
            assert [message.data for message in client.history("t", limit=2)] == [0, 1]
            for message in client.history("t"):
                assert message.data == 0
                break
            with client.history("t", since=receipts[3].position) as history:
                assert [message.data for batch in history.batches() for message in batch] == [3, 4]
                assert history.lost == 0
            with client.subscribe("t", since="earliest") as subscription:
                assert [next(subscription).data for _ in range(5)] == list(range(5))
            assert client.epoch == receipts[0].epoch

    async with Broker(Settings()).serving(port=0) as url:
        await asyncio.to_thread(script, url)
