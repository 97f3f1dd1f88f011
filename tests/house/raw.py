"""A WebSocket by hand, for what no library would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from house.link import frames_of
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.limits import SUBPROTOCOL
from tickwire.wire.messages import FromBroker

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Raw:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send_message(self, body: bytes, opcode: int = 2, deflated: bool = False, fin: bool = True) -> None:
        """One masked frame; the mask is zero, which leaves the bytes as they are."""
        first = opcode | (0x80 if fin else 0) | (0x40 if deflated else 0)
        length = len(body)
        if length < 126:
            header = bytes((first, 0x80 | length))
        elif length < 1 << 16:
            header = bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
        else:
            header = bytes((first, 0x80 | 127)) + length.to_bytes(8, "big")
        self.writer.write(header + bytes(4) + body)

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            return await asyncio.wait_for(self.reader.read(-1), 20)
        return b""

    async def last_words(self) -> tuple[list[FromBroker], int]:
        """The frames that come until the server closes, and the code of the close."""
        stream = b""
        while not (message := await self.next_message()).startswith(b"\x88"):
            stream += message
        frames = [decode_from_broker(frame) for frame in frames_of(stream)]
        return [frame for frame in frames if frame is not None], int.from_bytes(message[2:4], "big")

    async def next_message(self) -> bytes:
        """One message of the server, its header included."""
        head = await asyncio.wait_for(self.reader.readexactly(2), 20)
        extended = await self.reader.readexactly({126: 2, 127: 8}.get(head[1], 0))
        length = int.from_bytes(extended, "big") if extended else head[1]
        return head + extended + await self.reader.readexactly(length)


@contextlib.asynccontextmanager
async def dialled(url: str) -> AsyncIterator[Raw]:
    """A TCP connection, on which nothing has been said."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def upgraded(url: str, extensions: str = "") -> AsyncIterator[Raw]:
    """A WebSocket on which nothing has been said."""
    parts = urlsplit(url)
    async with dialled(url) as raw:
        head = UPGRADE.format(path=parts.path, host=parts.netloc) + extensions + "\r\n"
        raw.writer.write(head.encode())
        answer = await raw.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield raw
