"""python-socketio as a server of topics: an AsyncServer as an ASGI application under uvicorn, a room for each topic."""

from __future__ import annotations

import signal
import socket
from typing import Any
from urllib.parse import parse_qs

import socketio  # type: ignore[import-not-found, import-untyped, unused-ignore]
import uvicorn  # type: ignore[import-not-found, unused-ignore]
from asked import BACKLOG, arguments

MESSAGE_BYTES = 16 << 20  # what uvicorn allows; the default of the AsyncServer is less than 1 MiB

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], max_http_buffer_size=MESSAGE_BYTES)


@sio.event  # type: ignore[untyped-decorator]
async def connect(sid: str, environ: dict[str, Any]) -> None:
    query = parse_qs(environ["QUERY_STRING"])
    if "publish" not in query:
        for topic in query.get("topics", ["0"])[0].split(","):
            await sio.enter_room(sid, f"t{topic}")


@sio.on("m")  # type: ignore[untyped-decorator]
async def publish(_sid: str, message: bytes) -> None:
    await sio.emit("m", message, to=f"t{int.from_bytes(message[-4:])}")


class Server(uvicorn.Server):  # type: ignore[misc, unused-ignore]
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()
        print(f"listening on ws://{host}:{port}/ws", flush=True)


def main() -> None:
    asked = arguments(__doc__)
    # uvicorn ends in good order and then raises the signal again, which would become the exit status.
    signal.signal(signal.SIGTERM, lambda *_: None)
    config = uvicorn.Config(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=asked.port,
        loop="uvloop",
        backlog=BACKLOG,
        ws_per_message_deflate=asked.compress,
        log_level="warning",
    )
    Server(config).run()


if __name__ == "__main__":
    main()
