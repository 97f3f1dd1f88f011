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
from .client import Client

SECONDS = 10
# Repeats 20 kB apart are out of reach of a window of 512 bytes, and well within one of 32 KiB.
FAR_REPEATS = random.Random(1).randbytes(20_000) * 3
TICK = msgpack.packb({"bid": 187.2, "ask": 187.3})
SILENT = Settings(log_level="error")


@asynccontextmanager
async def conversing(url: str, **options: Any) -> AsyncIterator[Client]:
    async with asyncio.timeout(SECONDS), connect(url, subprotocols=[Subprotocol("tickwire.v1")], **options) as socket:
        client = Client(socket)
        await client.hello()
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
