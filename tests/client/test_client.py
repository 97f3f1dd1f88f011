"""The client against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from client.scripted import States
from tickwire.server import Broker, Settings
from tickwire_client import BufferFull, Client, ConnectionLost, Gap, Message, Refused, TickwireError, connect

pytestmark = pytest.mark.usefixtures("frames_either_way")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with Broker(Settings(payload_bytes=100_000)).serving(port=0) as url:
        yield url


@pytest.mark.parametrize("compress", [True, False])
async def test_what_is_published_is_received_in_order(url: str, compress: bool) -> None:
    values = [{"bid": 187.2}, None, "text", [1, 2.5, True], b"bytes", {1: "a"}, "long " * 2_000]
    async with connect(url, compress=compress) as client, client.subscribe("prices.*") as prices:
        receipts = [await client.publish("prices.AAPL", value) for value in values]
        received = [await anext(prices) for _ in values]

    assert [message.data for message in received] == values
    assert [message.offset for message in received] == [receipt.offset for receipt in receipts] == list(range(7))
    assert {message.epoch for message in received} == {receipt.epoch for receipt in receipts}


async def test_a_payload_comes_as_it_was_sent(url: str) -> None:
    async with connect(url) as client, client.subscribe("a") as subscription:
        await client.publish("a", payload=b"\xc1 not msgpack")
        message = await anext(subscription)
    assert message.data == message.payload == b"\xc1 not msgpack"


async def test_a_batch_is_published_as_a_whole(url: str) -> None:
    async with connect(url) as client, client.subscribe(">") as everything:
        async with client.batch() as batch:
            for at in range(4):
                batch.add(f"t.{at % 2}", at)
        assert [(receipt.topic, receipt.offset) for receipt in batch.receipts] == [
            ("t.0", 0),
            ("t.1", 0),
            ("t.0", 1),
            ("t.1", 1),
        ]

        large = client.batch()
        large.add("t.0", "fine")
        with pytest.raises(Refused, match="100000"):
            large.add("t.0", bytes(100_001))
        assert len(large) == 1
        with pytest.warns(RuntimeWarning, match="1 messages was never entered"):
            del large
        with contextlib.suppress(ZeroDivisionError):
            async with client.batch() as batch:
                batch.add("t.0", "never sent")
                batch.add("t.0", 1 / 0)
        assert batch.receipts == []
        await client.publish("t.0", "end")

        assert [(await anext(everything)).data for _ in range(5)] == [0, 2, 1, 3, "end"]


async def test_a_batch_takes_many_messages_of_a_topic_at_once_or_none_of_them(url: str) -> None:
    async with connect(url) as client, client.subscribe(">") as everything:
        async with client.batch() as batch:
            batch.add("a", 0)
            batch.extend("a", (at for at in (1, 2)))
            batch.extend("b", payloads=[b"3", bytearray(b"4")])
            batch.extend("a", [])
            batch.add("a", 5)
            for wrong, error in (
                (lambda: batch.extend("a", [6, 1 / 0]), ZeroDivisionError),
                (lambda: batch.extend("a", [6, object()]), TypeError),
                (lambda: batch.extend("a", payloads=[b"6", "no bytes"]), TypeError),
                (lambda: batch.extend("a", [6], payloads=[b"6"]), TypeError),
                (lambda: batch.extend("a", payloads=b"6"), TypeError),
                (lambda: batch.extend("a", 6), TypeError),
                (lambda: batch.extend("a", {"bid": 6}), TypeError),
                (lambda: batch.extend("a"), TypeError),
                (lambda: batch.extend("a", payloads=[b"6", bytes(100_001)]), Refused),
                (lambda: batch.extend("no..topic", [6]), Refused),
                (lambda: batch.extend(None, [6]), TypeError),
            ):
                with pytest.raises(error):
                    wrong()
            assert len(batch) == 6
        with pytest.raises(TickwireError, match="published already"):
            batch.extend("a", [6])

        receipts = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("a", 3)]
        assert [(receipt.topic, receipt.offset) for receipt in batch.receipts] == receipts
        assert [(await anext(everything)).data for _ in range(6)] == [0, 1, 2, 5, b"3", b"4"]


async def test_many_publishes_at_once_each_get_their_own_receipt(url: str) -> None:
    async with connect(url) as client:
        receipts = await asyncio.gather(*(client.publish(f"t.{at % 3}", at) for at in range(3_000)))
    assert [receipt.offset for receipt in receipts] == [at // 3 for at in range(3_000)]


async def test_what_is_published_faster_than_the_rate_is_slowed_down_and_nothing_of_it_is_refused() -> None:
    settings = Settings(messages_per_second=100, rate_burst=0.1)
    async with Broker(settings).serving(port=0) as url, connect(url) as client:
        async with asyncio.timeout(20):
            receipts = await asyncio.gather(*(client.publish("a", number) for number in range(150)))
            for number in range(150):
                client.publish_nowait("a", number)
            await client.flush()
            last = await client.publish("a", None)

    assert [receipt.offset - receipts[0].offset for receipt in receipts] == list(range(150))
    assert last.offset - receipts[0].offset == 300


async def test_a_flush_is_the_end_of_what_was_sent_before_it(url: str) -> None:
    async with connect(url) as client, client.subscribe("t") as subscription:
        for at in range(20_000):
            client.publish_nowait("t", at)
        await client.flush()
        assert (await client.publish("t", None)).offset == 20_000

        received: list[Message] = []
        async for messages in subscription.batches():
            received += messages
            if len(received) > 20_000:
                break
    assert [message.data for message in received[:-1]] == list(range(20_000))


async def test_what_cannot_be_sent_leaves_what_is_sent_in_the_same_turn_as_it_was(url: str) -> None:
    async with connect(url) as client, client.subscribe("t.*") as subscription:
        for at in range(3):
            client.publish_nowait("t.a", at)
            with pytest.raises(TypeError, match="make it one of them"):
                client.publish_nowait("t.a", {"at": at, "object": object()})
            with pytest.raises(TypeError, match="a topic is a str"):
                client.publish_nowait(["t.a"], at)  # type: ignore[arg-type]
            client.publish_nowait("t.a", payload=bytes([at]))
            client.publish_nowait("t.b", "other")
        waited = client.publish("t.a", "acknowledged")
        client.publish_nowait("t.a", "last")
        assert (await waited).offset in (6, 7)
        await client.flush()

        received = [await anext(subscription) for _ in range(11)]
    data = [message.data for message in received if message.topic == "t.a"]
    assert data[:6] == [0, b"\0", 1, b"\1", 2, b"\2"]
    assert sorted(data[6:]) == ["acknowledged", "last"]


async def test_data_whose_packing_publishes_is_whole_and_so_is_what_it_published(url: str) -> None:
    class Telling(dict[str, object]):
        def items(self) -> Any:
            client.publish_nowait("t", "inner")
            with contextlib.suppress(TypeError):
                client.publish_nowait("t", object())
            batch.add("t", "in the batch")
            return super().items()

    async with connect(url) as client, client.subscribe("t") as subscription, client.batch() as batch:
        client.publish_nowait("t", "first")
        client.publish_nowait("t", Telling(a=1))
        with pytest.raises(TypeError):
            client.publish_nowait("t", Telling(a=object()))
        batch.add("t", [Telling(b=2)])
        await client.flush()

        received = [(await anext(subscription)).data for _ in range(5)]
    assert received == ["first", "inner", {"a": 1}, "inner", "inner"]


async def test_a_client_that_is_closed_in_the_turn_takes_nothing_more(url: str) -> None:
    async with connect(url) as client:
        client.publish_nowait("t", 1)
        client.publish_nowait("t", 2)
        closing = asyncio.create_task(client.close())
        await closing
        with pytest.raises(ConnectionLost, match="closed"):
            client.publish_nowait("t", 3)


async def test_publish_nowait_has_a_bound(url: str) -> None:
    async with connect(url) as client:
        for _ in range((8 << 20) // 50_100):
            client.publish_nowait("t", bytes(50_000))
        with pytest.raises(BufferFull, match="flush"):
            client.publish_nowait("t", bytes(50_000))
        await client.flush()
        client.publish_nowait("t", 1)


async def test_a_slow_reader_loses_nothing_and_says_what_the_broker_could_not_keep() -> None:
    settings = Settings(retain_bytes=1 << 20)
    async with (
        Broker(settings).serving(port=0) as url,
        connect(url) as slow,
        connect(url) as publisher,
        slow.subscribe("t", gaps=True, max_buffered=100) as subscription,
    ):
        for at in range(400):
            publisher.publish_nowait("t", payload=at.to_bytes(4, "big") + bytes(80_000))
            if at % 50 == 49:
                await publisher.flush()
        next = 0
        async with asyncio.timeout(20):
            while next < 400:
                item = await anext(subscription)
                if isinstance(item, Gap):
                    assert (item.start, item.reason) == (next, "evicted")
                    assert item.end is not None
                    next = item.end
                else:
                    assert item.offset == next == int.from_bytes(item.payload[:4], "big")
                    next += 1
        assert subscription.lost > 0


async def test_a_reader_that_would_rather_drop_is_told_what() -> None:
    async with (
        Broker(Settings()).serving(port=0) as url,
        connect(url) as client,
        client.subscribe("t", gaps=True, on_full="drop", max_buffered=10) as subscription,
        client.subscribe("t") as other,
    ):
        for at in range(100):
            await client.publish("t", at)
            await anext(other)
        items = await anext(subscription.batches())
        await client.publish("t", 100)
        items += await anext(subscription.batches())

    covered = [item.offset if isinstance(item, Message) else (item.start, item.end, item.reason) for item in items]
    assert covered == [*range(10), (10, 100, "dropped"), 100]


async def test_it_goes_on_after_the_broker_was_restarted() -> None:
    port, states = free_port(), States()
    async with contextlib.AsyncExitStack() as stack:
        async with Broker(Settings()).serving(port=port) as url:
            client = await stack.enter_async_context(connect(url, on_state=states))
            subscription = await client.subscribe("t.*", gaps=True)
            await client.publish("t.a", 1)
            first = await anext(subscription)
        await states.reach("reconnecting")
        client.publish_nowait("t.a", 2)
        async with Broker(Settings()).serving(port=port):
            gap, second = await anext(subscription), await anext(subscription)

    assert isinstance(gap, Gap)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert gap == Gap("t.*", first.epoch, None, None, "epoch")
    assert (first.data, second.data, second.offset) == (1, 2, 0)


async def test_a_closed_subscription_ends_and_others_go_on(url: str) -> None:
    async with connect(url) as client:
        first, second = await client.subscribe("t"), await client.subscribe("t")
        await client.publish("t", 1)
        await first.close()
        assert [message async for message in first] == []
        assert (await anext(second)).data == 1
        with pytest.raises(Refused, match="'>' before"):
            await client.subscribe("a.>.b")
    assert [message async for message in second] == []
    with pytest.raises(ConnectionLost, match="closed"):
        client.publish_nowait("t", 1)


async def test_a_reader_that_is_interrupted_while_it_waits_loses_nothing(url: str) -> None:
    async with connect(url) as client, client.subscribe("t") as subscription:
        received = []
        for at in range(50):
            client.publish_nowait("t", at)
            for timeout in (0.0, 0.001, 1.0):
                try:
                    received.append((await asyncio.wait_for(anext(subscription), timeout)).data)
                except TimeoutError:
                    continue
                break
    assert received == list(range(50))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_loop_over_what_was_not_entered_says_how_it_is_written(url: str) -> None:
    async with connect(url) as client:
        with pytest.raises(TypeError, match=r"use `async with client\.subscribe\('x\.\*'\) as messages:`"):
            async for _ in client.subscribe("x.*"):  # type: ignore[attr-defined]
                pass


async def test_each_object_shows_itself_in_a_few_words(url: str) -> None:
    opening = connect(url)
    assert repr(opening) == "<connect(), to be awaited or entered>"
    async with opening as client, client.subscribe("a.*") as subscription:
        assert repr(client) == f"<Client {url} connected>"
        assert repr(subscription) == "<Subscription 'a.*'>"
        await subscription.close()
        assert repr(subscription) == "<Subscription 'a.*', ended>"
        assert repr(client.batch()) == "<Batch of 0 messages>"


def test_a_gap_is_a_sentence() -> None:
    assert str(Gap("a", 1, 3, 8, "evicted")) == "5 messages of a are missing, offsets 3 to 7 (evicted)"
    assert str(Gap("a", 1, 3, 4, "evicted")) == "1 message of a is missing, offset 3 (evicted)"
    assert str(Gap("a", 1, None, None, "epoch")) == "messages of a are missing, how many is not known (epoch)"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": 8765}, "an address is a str"),
        ({"url": [b"ws://a"]}, "an address is a str"),
        ({"url": []}, "at least one address"),
        ({"timeout": "3"}, "timeout must be seconds"),
        ({"timeout": None}, "timeout must be seconds"),
        ({"timeout": 0}, "timeout must be seconds"),
        ({"on_state": "x"}, "on_state must be a function"),
        ({"on_refused": asyncio.sleep}, "on_refused must be an ordinary function"),
    ],
)
async def test_what_connect_cannot_take_is_told_at_once(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        await connect(**arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_buffered": "100"}, "max_buffered must be a whole number"),
        ({"max_buffered": 0}, "max_buffered must be a whole number"),
        ({"max_buffered_bytes": "16 MiB"}, "max_buffered_bytes must be a whole number"),
        ({"on_gap": "x"}, "on_gap must be a function"),
        ({"on_gap": asyncio.sleep}, "on_gap must be an ordinary function"),
    ],
)
async def test_what_subscribe_cannot_take_is_told_at_once(url: str, arguments: dict[str, Any], says: str) -> None:
    async with connect(url) as client:
        with pytest.raises((TypeError, ValueError), match=says):
            client.subscribe("a", **arguments)


async def test_data_that_msgpack_cannot_hold_is_told_what_would_do(url: str) -> None:
    async with connect(url) as client:
        with pytest.raises(
            TypeError, match=r"Decimal.*: data is None, bool, .*; make it one of them, or give payload="
        ):
            await client.publish("a", {"price": Decimal("1.5")})
        await client.publish("a", {"price": 1.5})


async def lost() -> tuple[Client, int]:
    """A client whose broker went away, and the port that it looks for one at."""
    away = asyncio.Event()
    async with Broker(Settings()).serving(port=0) as url:
        client = await connect(url, on_state=lambda state, why: away.set() if state == "reconnecting" else None)
    await away.wait()
    return client, int(url.split(":")[2].split("/")[0])


async def test_closing_waits_for_a_broker_that_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    client, port = await lost()
    client.publish_nowait("a", "buffered")

    closing = asyncio.create_task(client.close())
    async with Broker(Settings()).serving(port=port) as url:
        await closing
        async with connect(url) as reader:
            assert [message.data async for message in reader.history("a")] == ["buffered"]
    assert "unsent" not in caplog.text


async def test_closing_tells_that_something_could_not_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = await lost()
    client.publish_nowait("a", "buffered")

    await client.close(timeout=0.1)
    assert "closing with messages unsent" in caplog.text


async def test_a_broker_that_says_nothing_is_waited_for_no_longer_than_the_timeout() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(ConnectionLost, match=r"did not answer within 0\.2 s"):
        await connect(f"ws://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
