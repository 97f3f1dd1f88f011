"""A whole client in forty lines, written from PROTOCOL.md alone: a WebSocket, msgpack, and nothing of ours."""

from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection

HELLO, SUBSCRIBE, PUBLISH, BYE, WELCOME, SUBSCRIBED, ACK, REFUSED, DELIVERY = 1, 2, 4, 6, 16, 17, 19, 20, 21


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.sections, self.welcome = socket, list[Any](), list[Any]()

    async def hello(self, **options: Any) -> None:
        self.welcome = await self.ask([HELLO, [1], options], WELCOME)

    async def subscribe(self, id: int, pattern: str, **options: Any) -> Any:
        return await self.ask([SUBSCRIBE, id, pattern, options], SUBSCRIBED)

    async def publish(self, id: int, *runs: list[Any], **options: Any) -> Any:
        return await self.ask([PUBLISH, id, runs, options], ACK)

    async def section(self) -> Any:
        while not self.sections:
            await self.read()
        return self.sections.pop(0)

    async def ask(self, frame: list[Any], answer: int) -> Any:
        await self.socket.send(msgpack.packb(frame))
        while (reply := await self.read())[0] != answer:
            pass
        return reply

    async def read(self) -> Any:
        frame = msgpack.unpackb(await self.socket.recv())
        if frame[0] in (BYE, REFUSED):
            raise ConnectionError(frame)
        self.sections += frame[2] if frame[0] == DELIVERY else []
        return frame
