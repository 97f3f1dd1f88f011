"""Those who mean no good: connections by hand, from whatever address of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import zlib
from collections.abc import AsyncIterator

from house.link import frames_of
from house.raw import DEFLATE, UPGRADE, Raw
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.messages import Bye, FromBroker, Hello, Welcome

PATIENCE = 30.0


@contextlib.asynccontextmanager
async def dial(port: int, source: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """A TCP connection from an address of 127.0.0.0/8."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def upgrade(more: str = "") -> bytes:
    return (UPGRADE.format(path="/ws", host="127.0.0.1") + more + "\r\n").encode()


async def answer(raw: Raw) -> bytes:
    """The head of what is said to a request; empty where there is none."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        return await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return b""


@contextlib.asynccontextmanager
async def greeted(port: int, source: str = "127.0.0.1", deflate: bool = False) -> AsyncIterator[Raw]:
    """Somebody who was let in, and has said HELLO."""
    async with dial(port, source) as raw:
        raw.writer.write(upgrade(DEFLATE if deflate else ""))
        head = await answer(raw)
        assert head.startswith(b"HTTP/1.1 101"), head
        raw.send_message(encode(Hello()))
        assert isinstance(await said(raw), Welcome)
        yield raw


async def said(raw: Raw) -> FromBroker | int:
    """The next frame of the broker, or the code of its close; 1006 where there was none."""
    while True:
        try:
            message = await asyncio.wait_for(raw.next_message(), PATIENCE)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006
        if message[0] == 0x88:
            return int.from_bytes(message[2:4], "big")
        for frame in frames_of(message):
            decoded = decode_from_broker(frame)
            if decoded is not None:
                return decoded


async def last_words(raw: Raw) -> tuple[str, int]:
    """The code of the goodbye, and that of the close."""
    code = ""
    while not isinstance(word := await said(raw), int):
        if isinstance(word, Bye):
            code = word.code
    return code, word


def reset(raw: Raw) -> None:
    """End it with an RST."""
    sock = raw.writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.writer.transport.abort()


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(9, wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def sources(count: int) -> list[str]:
    """So many addresses of this machine."""
    return [f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}" for number in range(count)]
