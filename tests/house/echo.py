"""A server that says what it hears, on the reader, the writer and the compression of the broker."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import WSMsgType, web

from tickwire.fanout.deliver import write_now
from tickwire.fanout.frame import Deflater, websocket_frame
from tickwire.fanout.peer import Peer
from tickwire.server import Settings
from tickwire.server.connections.websocket import socket_class

FIN_TEXT, FIN_BINARY = 0x81, 0x82


class Echo:
    """Where it may, it compresses whatever it says, also where that gets no shorter by it."""

    def __init__(self) -> None:
        self._socket = socket_class(Settings(inflate_ratio=100_000))
        self._deflaters: dict[int, Deflater] = {}  # by their window

    async def serve(self, request: web.Request) -> web.StreamResponse:
        ws = self._socket()
        await ws.prepare(request)
        transport = request.transport
        assert transport is not None
        assert ws.intake is not None
        peer, window = Peer(1, transport.write, transport.get_write_buffer_size), int(ws.compress)
        deflater = self._deflaters.setdefault(window, Deflater(window=window)) if window else None
        ws.intake.take = lambda frames: [_say(peer, FIN_BINARY, frame, deflater) for frame in frames] and None
        while True:
            ws.intake.receiving()
            message = await ws.receive()
            if message.type is WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                _say(peer, FIN_TEXT if message.type is WSMsgType.TEXT else FIN_BINARY, message.data, deflater)
            elif message.type is not WSMsgType.PONG:
                return ws


def _say(peer: Peer, first: int, data: bytes, deflater: Deflater | None) -> None:
    said = data if deflater is None else deflater.compress(data)
    write_now(peer, websocket_frame(said, deflater is not None, first))


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """The URL of such a server."""
    app, echo = web.Application(), Echo()
    app.router.add_get("/", echo.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def main() -> None:
    """Say the URL, and serve until standard input ends."""
    async with echoing() as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
