"""The client that was written from PROTOCOL.md alone understands a real broker, compressed or not."""

from __future__ import annotations

import ast
import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame
from websockets.typing import Subprotocol

from tickwire.fanout.catchup import SHARED_BY
from tickwire.server import Broker, Settings

from . import client as client_module
from .client import SUBSCRIBED, Client

CONSUME, CONSUMED, RETURNED, LIST, JOIN, GROUPS = 7, 8, 9, 10, 24, 26

SECONDS = 10
# Repeats 20 kB apart are out of reach of a window of 512 bytes, and well within one of 32 KiB.
FAR_REPEATS = random.Random(1).randbytes(20_000) * 3
TICK = msgpack.packb({"bid": 187.2, "ask": 187.3})
SILENT = Settings(log_level="error")


@asynccontextmanager
async def conversing(url: str, hello: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Client]:
    async with asyncio.timeout(SECONDS), connect(url, subprotocols=[Subprotocol("tickwire.v1")], **options) as socket:
        client = Client(socket)
        await client.hello(**(hello or {}))
        yield client


@asynccontextmanager
async def inflating_audience(url: str) -> AsyncIterator[list[Client]]:
    """As many readers as make it worth deflating a frame even when the loop is busy."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(conversing(url, compression="deflate")) for _ in range(SHARED_BY)]


class CompressedMessages:
    """Watches what a connection inflates: the messages that came with RSV1 set, as they were on the line."""

    def __init__(self, client: Client) -> None:
        self.frames: list[bytes] = []
        (extension,) = client.socket.protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        inflate = extension.decode

        def decode(frame: Frame, *, max_size: int | None = None) -> Frame:
            if frame.rsv1:
                self.frames.append(bytes(frame.data))
            return inflate(frame, max_size=max_size)

        extension.decode = decode  # type: ignore[method-assign]


def only_a_small_window() -> dict[str, Any]:
    return {"extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=9)], "compression": None}


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_forty_lines_subscribe_publish_with_an_ack_and_receive_batches(compression: str | None) -> None:
    async with Broker(SILENT).serving(port=0) as url, conversing(url, compression=compression) as client:
        assert bool(client.socket.protocol.extensions) == (compression == "deflate")

        subscribed = await client.subscribe(7, "prices.*")
        first = await client.publish(1, ["prices.AAPL", [TICK] * 100])
        second = await client.publish(
            2, ["prices.AAPL", [b"a", b""]], ["prices.MSFT", [b"b"], {"format": 1}], ["news", [b"c"]]
        )

        assert subscribed[:3] == [17, 7, 0]
        assert (first, second) == ([19, [[1, 0]]], [19, [[2, 100, 0, 0]]])
        batch, *others = [await client.section() for _ in range(3)]
        assert (batch[0], batch[1], batch[4:]) == ("prices.AAPL", 0, [[TICK] * 100])
        assert sorted([other[0], other[1], *other[4:]] for other in others) == [
            ["prices.AAPL", 100, [b"a", b""]],
            ["prices.MSFT", 0, [b"b"], {"format": 1}],
        ]
        assert batch[2] < others[0][2]


async def test_a_batch_comes_compressed_to_who_negotiated_it_and_means_the_same_to_who_did_not() -> None:
    async with (
        Broker(SILENT).serving(port=0) as url,
        inflating_audience(url) as inflating,
        conversing(url, compression=None) as plain,
    ):
        compressed = CompressedMessages(inflating[0])
        for client in (plain, *inflating):
            await client.subscribe(1, "prices.AAPL")

        for id in range(5):
            await plain.publish(id, ["prices.AAPL", [TICK] * 100])

        for client in (plain, *inflating):
            assert await received(client, 500) == [TICK] * 500
        assert len(compressed.frames) == 5
        assert all(len(frame) < 100 * len(TICK) for frame in compressed.frames)


async def test_who_negotiated_a_small_window_can_read_what_repeats_far_apart() -> None:
    async with (
        Broker(SILENT).serving(port=0) as url,
        conversing(url, **only_a_small_window()) as narrow,
        inflating_audience(url) as wide,
    ):
        (agreed,) = narrow.socket.protocol.extensions
        assert isinstance(agreed, PerMessageDeflate)
        assert agreed.remote_max_window_bits == 9
        compressed = CompressedMessages(wide[0])
        for client in (narrow, *wide):
            await client.subscribe(1, "far")

        for id in range(3):
            await wide[0].publish(id, ["far", [FAR_REPEATS]])

        for client in (narrow, *wide):
            assert await received(client, 3) == [FAR_REPEATS] * 3
        assert len(compressed.frames) == 3
        assert [inflates(frame, 15) for frame in compressed.frames] == [True] * 3
        # The trap is a real one: what went to the wide window could not have gone to the small one.
        assert [inflates(frame, 9) for frame in compressed.frames] == [False] * 3


async def test_who_starts_in_the_past_catches_up_on_a_stream_of_its_own_and_joins() -> None:
    async with Broker(SILENT).serving(port=0) as url, conversing(url) as publisher, conversing(url) as reader:
        await publisher.publish(1, ["prices.AAPL", [b"a", b"b", b"c"]])

        subscribed = await reader.subscribe(7, "prices.*", since=["earliest"])
        frames = [await reader.read()]
        while frames[-1][0] != JOIN:
            frames.append(await reader.read())
        await publisher.publish(2, ["prices.AAPL", [b"d"]])
        live = await reader.read()

        stream = subscribed[2]
        assert stream != 0
        assert [frame[1] for frame in frames] == [stream] * (len(frames) - 1) + [7]
        assert await received(reader, 4) == [b"a", b"b", b"c", b"d"]
        assert live[:2] == [21, 0]
        assert live[2][0][2] > frames[-1][2]


async def test_who_comes_back_gets_what_it_missed_of_topics_that_it_knew_and_of_new_ones() -> None:
    async with Broker(SILENT).serving(port=0) as url, conversing(url) as publisher:
        async with conversing(url) as reader:
            stamp = (await reader.subscribe(7, "prices.*"))[3]
            await publisher.publish(1, ["prices.AAPL", [b"a", b"b"]])
            first = await reader.section()
        await publisher.publish(2, ["prices.AAPL", [b"c"]], ["prices.MSFT", [b"d"]])
        async with conversing(url) as reader:
            seen, positions = [reader.welcome[2], stamp], [["prices.AAPL", first[1] + len(first[4])]]
            await reader.subscribe(7, "prices.*", seen=seen, positions=positions)
            missed = [await reader.section(), await reader.section()]

        assert first[4] == [b"a", b"b"]
        assert sorted([section[0], section[1], section[4]] for section in missed) == [
            ["prices.AAPL", 2, [b"c"]],
            ["prices.MSFT", 0, [b"d"]],
        ]


async def test_a_publish_that_is_sent_again_is_answered_as_the_first_time_and_read_once() -> None:
    async with Broker(SILENT).serving(port=0) as url, conversing(url) as reader:
        await reader.subscribe(1, "orders")
        async with conversing(url, {"publisher": "desk-1", "incarnation": 3}) as publisher:
            first = await publisher.publish(1, ["orders", [b"a"]], sequence=5)
        async with conversing(url, {"publisher": "desk-1", "incarnation": 3}) as publisher:
            again = await publisher.publish(1, ["orders", [b"a"]], sequence=5, retry=True)
            await publisher.publish(2, ["orders", [b"b"]], sequence=6)

        assert again == first
        assert await received(reader, 2) == [b"a", b"b"]


async def test_a_message_that_a_consumer_returns_comes_again_until_it_is_consumed() -> None:
    async with Broker(SILENT).serving(port=0) as url, conversing(url) as client:
        await client.publish(1, ["orders.1", [b"a"]])

        consumer = await client.ask([CONSUME, 7, "orders.>", "billing", 10], SUBSCRIBED)
        first = await client.section()
        await client.socket.send(msgpack.packb([RETURNED, 7, [["orders.1", 0, 1]]]))
        second = await client.section()
        await client.socket.send(msgpack.packb([CONSUMED, 7, [["orders.1", 0, 1]]]))
        groups = await client.ask([LIST, 1], GROUPS)

        assert consumer[2] != 0
        assert [first[0], first[1], *first[4:]] == ["orders.1", 0, [b"a"]]
        assert [second[0], second[1], *second[4:]] == ["orders.1", 0, [b"a"], {"attempt": 2}]
        assert groups == [GROUPS, 1, [["billing", "orders.>", 1, 0, 0]]]


def test_the_client_has_at_most_forty_lines_and_nothing_of_ours() -> None:
    source = Path(client_module.__file__).read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert len(source.splitlines()) <= 40
    assert imported == {"typing", "msgpack", "websockets"}


async def received(client: Client, count: int) -> list[bytes]:
    """That many payloads, whose offsets follow each other."""
    payloads: list[bytes] = []
    while len(payloads) < count:
        section = await client.section()
        assert section[1] == len(payloads)
        payloads += section[4]
    return payloads


def inflates(frame: bytes, window: int) -> bool:
    try:
        zlib.decompressobj(-window).decompress(frame + b"\x00\x00\xff\xff")
    except zlib.error:
        return False
    return True
