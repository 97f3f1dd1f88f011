"""A client that does what it is told, wrong things too: frames over a real WebSocket, without the SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import aiohttp

from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.limits import SUBPROTOCOL
from tickwire.wire.messages import FromBroker, Hello, Message, Welcome

T = TypeVar("T")
TIMEOUT = 10.0


class Closed(Exception):
    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(f"closed with {code}")


class Client:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def send(self, message: Message | bytes) -> None:
        await self.ws.send_bytes(message if isinstance(message, bytes) else encode(message))

    async def receive(self) -> FromBroker:
        """The next frame. Raises Closed."""
        message = await asyncio.wait_for(self.ws.receive(), TIMEOUT)
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise Closed(self.ws.close_code)
        decoded = decode_from_broker(message.data)
        assert decoded is not None
        return decoded

    async def expect(self, kind: type[T]) -> T:
        """The next frame of a kind; those before it are passed over."""
        while True:
            message = await self.receive()
            if isinstance(message, kind):
                return message

    async def closed(self) -> int | None:
        """The code of the close, which is the next thing but frames."""
        with contextlib.suppress(Closed):
            while True:
                await self.receive()
        return self.ws.close_code


@contextlib.asynccontextmanager
async def connected(url: str, greet: bool = True, compress: int = 0, **options: object) -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,), compress=compress, max_msg_size=0, **options) as ws,  # type: ignore[arg-type]
    ):
        client = Client(ws)
        if greet:
            await client.send(Hello())
            await client.expect(Welcome)
        yield client
