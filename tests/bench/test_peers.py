"""The peers of the bench do what they are compared for: each message whole and in order, and to its topic's readers."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

PEERS = Path(__file__).parents[2] / "bench" / "peers" / "servers"
PUBLISH = "publish=1"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, and whether it speaks Socket.IO."""

    program: str
    engine_io: bool = False

    @property
    def command(self) -> list[str]:
        interpreter = "node" if self.program.endswith(".mjs") else sys.executable
        return [interpreter, str(PEERS / self.program)]


ALL = [
    Peer("picows_server.py"),
    Peer("socketify_server.py"),
    Peer("websockets_server.py"),
    Peer("node/ws_server.mjs"),
    Peer("node/uws_server.mjs"),
    Peer("socketio_server.py", engine_io=True),
    Peer("node/socketio_server.mjs", engine_io=True),
]


@pytest.fixture(params=ALL, ids=lambda peer: peer.program)
def peer(request: pytest.FixtureRequest) -> Peer:
    peer: Peer = request.param
    if "uws" in peer.program and platform.machine() != "x86_64":
        pytest.skip("the registry has a build for x86-64 only")
    return peer


@pytest.mark.parametrize("options", [[], ["--compress"]], ids=["plain", "compress"])
async def test_each_reader_gets_the_messages_of_its_topics_in_order_and_unchanged(
    peer: Peer, options: list[str]
) -> None:
    published = [message(number, topic) for number in range(8) for topic in (0, 3, 17, 70_000, 5)]
    offers = 15 if options else 0

    async with listening(peer, *options) as url, aiohttp.ClientSession() as session:
        first = await connect(peer, session, url, "", offers)
        second = await connect(peer, session, url, "topics=3,17", offers)
        third = await connect(peer, session, url, "topics=17,70000", offers)
        publisher = await connect(peer, session, url, PUBLISH, offers)
        for each in published:
            await publisher.publish(each)

        assert await first.receive(8) == of(published, 0)
        assert await second.receive(16) == of(published, 3, 17)
        assert await third.receive(16) == of(published, 17, 70_000)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compress"])
async def test_messages_are_compressed_with_the_option_and_only_with_it(peer: Peer, compress: bool) -> None:
    async with listening(peer, *["--compress"] * compress) as url, aiohttp.ClientSession() as session:
        reader, writer = await asyncio.open_connection(*address(url))
        writer.write(UPGRADE % path(peer, "topics=9").encode())
        response = await reader.readuntil(b"\r\n\r\n")
        if peer.engine_io:
            await frame(reader)
            writer.write(CONNECT)
            await frame(reader)
        publisher = await connect(peer, session, url, PUBLISH)
        await publisher.publish(bytes(4_000) + (9).to_bytes(4))
        first, size = await frame(reader)
        if peer.engine_io:
            first, size = await frame(reader)
        writer.close()

    assert response.startswith(b"HTTP/1.1 101")
    assert (b"permessage-deflate" in response) is compress
    assert (first, size < 100) == ((0xC2, True) if compress else (0x82, False))


async def test_the_largest_message_is_at_least_a_mebibyte(peer: Peer) -> None:
    largest = bytes((1 << 20) - 4) + (1).to_bytes(4)

    async with listening(peer) as url, aiohttp.ClientSession() as session:
        reader = await connect(peer, session, url, "topics=1")
        publisher = await connect(peer, session, url, PUBLISH)
        await publisher.publish(largest)

        assert await reader.receive(1) == [largest]


# An upgrade by hand, to see the frames as they are, and the CONNECT of Socket.IO (a 4 and a 0, with a mask of zeros).
UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
CONNECT = bytes.fromhex("81 82 00000000 34 30")


async def frame(reader: asyncio.StreamReader) -> tuple[int, int]:
    """The first byte of the next frame, and the size of its payload."""
    first, size = await asyncio.wait_for(reader.readexactly(2), 10)
    assert size < 127
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    await reader.readexactly(size)
    return first, size


class Raw:
    """A connection on which a message is a WebSocket message."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def publish(self, data: bytes) -> None:
        await self.ws.send_bytes(data)

    async def receive(self, count: int) -> list[bytes]:
        return [await self.ws.receive_bytes(timeout=10) for _ in range(count)]


class SocketIo(Raw):
    """A connection that speaks Engine.IO 4 and Socket.IO 5: a message is an event with one attachment."""

    async def connect(self) -> None:
        assert (await self.ws.receive_str(timeout=10)).startswith("0{")
        await self.ws.send_str("40")
        assert (await self.ws.receive_str(timeout=10)).startswith("40{")

    async def publish(self, data: bytes) -> None:
        await self.ws.send_str('451-["m",{"_placeholder":true,"num":0}]')
        await self.ws.send_bytes(data)

    async def receive(self, count: int) -> list[bytes]:
        return [await self.event() for _ in range(count)]

    async def event(self) -> bytes:
        head = await self.ws.receive_str(timeout=10)
        assert head.startswith("451-")
        assert json.loads(head.removeprefix("451-")) == ["m", {"_placeholder": True, "num": 0}]
        return await self.ws.receive_bytes(timeout=10)


async def connect(peer: Peer, session: aiohttp.ClientSession, url: str, query: str, offers: int = 0) -> Raw:
    """Connect as a client that also offers a subprotocol, which no server may stumble over."""
    host, port = address(url)
    where = f"ws://{host}:{port}{path(peer, query)}"
    ws = await session.ws_connect(where, compress=offers, protocols=["tickwire"], heartbeat=None)
    if not peer.engine_io:
        return Raw(ws)
    connection = SocketIo(ws)
    await connection.connect()
    return connection


def path(peer: Peer, query: str) -> str:
    return f"/socket.io/?EIO=4&transport=websocket&{query}" if peer.engine_io else f"/ws?{query}"


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("ws://").removesuffix("/ws").rpartition(":")
    return host, int(port)


def message(number: int, topic: int) -> bytes:
    """No two alike, of very different sizes, the topic at the end."""
    return number.to_bytes() * (number**6 // 2) + topic.to_bytes(4)


def of(published: Iterable[bytes], *topics: int) -> list[bytes]:
    return [each for each in published if int.from_bytes(each[-4:]) in topics]


@asynccontextmanager
async def listening(peer: Peer, *options: str) -> AsyncIterator[str]:
    """The address that the peer says it listens on. It says nothing else, and ends with 0 when it is told to."""
    process = await asyncio.create_subprocess_exec(*peer.command, "--port", "0", *options, stdout=PIPE, stderr=STDOUT)
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        assert line.startswith("listening on ws://127.0.0.1:")
        yield line.removeprefix("listening on ").strip()
        process.terminate()
        said, _ = await asyncio.wait_for(process.communicate(), 20)
        assert (process.returncode, said.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
