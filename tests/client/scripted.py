"""A WebSocket server that follows a script: one step for each connection, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import WSMsgType, web

from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.limits import SUBPROTOCOL
from tickwire.wire.messages import Consume, FromBroker, FromClient, Hello, Subscribe, Subscribed, Welcome

TIMEOUT = 10.0
EPOCH = 77

Step = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection, seen from the server."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.ws = ws
        self.feeds: dict[str, int] = {}
        self.transport = transport

    async def say(self, *messages: FromBroker) -> None:
        for message in messages:
            await self.ws.send_bytes(encode(message))

    async def hear(self) -> FromClient | None:
        """The next frame; None when the client has gone."""
        message = await asyncio.wait_for(self.ws.receive(), TIMEOUT)
        return decode_from_client(message.data) if message.type is WSMsgType.BINARY else None

    async def greet(self, epoch: int = EPOCH, **limits: int) -> Hello:
        hello = await self.hear()
        assert isinstance(hello, Hello)
        limits = {"identity_seconds": 300, "identity_frames": 4_096} | limits
        await self.say(Welcome(1, epoch, 0, limits, {"ack": "memory", "server": "scripted"}))
        for subscribe in hello.subscriptions:
            self.feeds[subscribe.pattern] = subscribe.id
        return hello

    async def confirm(self, stream: int = 0, stamp: int = 0) -> int:
        """Answer one SUBSCRIBE or CONSUME; returns its id."""
        message = await self.hear()
        assert isinstance(message, (Subscribe, Consume))
        self.feeds[message.pattern] = message.id
        await self.say(Subscribed(message.id, stream, stamp))
        return message.id

    async def until_gone(self) -> list[FromClient]:
        heard = []
        while (message := await self.hear()) is not None:
            heard.append(message)
        return heard


@contextlib.asynccontextmanager
async def scripted(*steps: Step | web.Response) -> AsyncIterator[str]:
    """A server whose connections go by the steps, in turn; a Response is given instead of a WebSocket."""
    left = list(steps)
    failed: list[BaseException] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        step = left.pop(0) if left else web.Response(status=503, text="the script has ended")
        if isinstance(step, web.Response):
            return step
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await ws.prepare(request)
        try:
            await step(Peer(ws, request.transport))
        except AssertionError as error:
            failed.append(error)
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
    assert not failed, failed


class States:
    """What `on_state` was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, state: str, detail: str) -> None:
        self.all.append((state, detail))
        self._changed.set()

    @property
    def names(self) -> list[str]:
        return [state for state, _ in self.all]

    async def reach(self, state: str, times: int = 1) -> str:
        """Wait until a state was told so often; returns its detail."""
        async with asyncio.timeout(TIMEOUT):
            while self.names.count(state) < times:
                self._changed.clear()
                await self._changed.wait()
        return [detail for name, detail in self.all if name == state][times - 1]
