"""The broker to compare with: what aiohttp's documentation leads to, one send per reader and message."""

from __future__ import annotations

import argparse
import asyncio
import resource

import uvloop
from aiohttp import WSMsgType, web

READERS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("readers")
BACKLOG = 4_096


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """One connection: with ?publish=1 it only sends, else it gets every message, also its own."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    readers = request.app[READERS]
    if "publish" not in request.query:
        readers.add(ws)
    try:
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                await broadcast(readers, message.data)
    finally:
        readers.discard(ws)
    return ws


async def broadcast(readers: set[web.WebSocketResponse], data: bytes) -> None:
    for reader in list(readers):
        # aiohttp raises here where the reader has just left; the others get the message all the same.
        try:
            await reader.send_bytes(data)
        except ConnectionError:
            readers.discard(reader)


async def serve(host: str, port: int) -> None:
    app = web.Application()
    app[READERS] = set()
    app.router.add_get("/ws", websocket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=BACKLOG)
    await site.start()
    address = runner.addresses[0]
    print(f"listening on ws://{address[0]}:{address[1]}/ws", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks one")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
