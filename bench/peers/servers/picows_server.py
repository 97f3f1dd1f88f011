"""picows as a server of topics: its core API, or with --compress its `websockets` interface; both on uvloop."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import picows  # type: ignore[import-not-found, unused-ignore]
import uvloop
from asked import BACKLOG, arguments, topics_of
from picows.websockets.asyncio import server as interface  # type: ignore[import-not-found, unused-ignore]
from picows.websockets.exceptions import ConnectionClosed  # type: ignore[import-not-found, unused-ignore]

READERS: defaultdict[int, set[picows.WSTransport]] = defaultdict(set)
CONNECTIONS: defaultdict[int, set[interface.ServerConnection]] = defaultdict(set)


class Publisher(picows.WSListener):  # type: ignore[misc, unused-ignore]
    """Passes on what a publisher sends: messages of one frame, as picows leaves it to us to put others together."""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.BINARY:
            message = frame.get_payload_as_memoryview()
            for reader in READERS[int.from_bytes(message[-4:])]:
                reader.send(picows.WSMsgType.BINARY, message)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            say_goodbye(transport, frame)


class Reader(picows.WSListener):  # type: ignore[misc, unused-ignore]
    """Is sent the messages of its topics."""

    def __init__(self, topics: list[int]) -> None:
        self.topics = topics

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        for topic in self.topics:
            READERS[topic].add(transport)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            say_goodbye(transport, frame)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        for topic in self.topics:
            READERS[topic].discard(transport)


def say_goodbye(transport: picows.WSTransport, frame: picows.WSFrame) -> None:
    transport.send_close(frame.get_close_code(), frame.get_close_message())
    transport.disconnect()


def listener(request: picows.WSUpgradeRequest) -> picows.WSListener:
    topics = topics_of(request.path.decode())
    return Publisher() if topics is None else Reader(topics)


async def handler(connection: interface.ServerConnection) -> None:
    topics = topics_of(connection.request.path)
    if topics is None:
        await publish(connection)
    else:
        await read(connection, topics)


async def publish(connection: interface.ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in connection:
            assert isinstance(message, bytes)
            interface.broadcast(CONNECTIONS[int.from_bytes(message[-4:])], message)


async def read(connection: interface.ServerConnection, topics: list[int]) -> None:
    for topic in topics:
        CONNECTIONS[topic].add(connection)
    try:
        await connection.wait_closed()
    finally:
        for topic in topics:
            CONNECTIONS[topic].discard(connection)


@asynccontextmanager
async def serving(port: int, compress: bool) -> AsyncIterator[int]:
    """The port that is listened on. The core API has no permessage-deflate, so with it the other interface serves."""
    if compress:
        async with interface.serve(handler, "127.0.0.1", port, backlog=BACKLOG) as server:
            yield server.sockets[0].getsockname()[1]
    else:
        core = await picows.ws_create_server(listener, "127.0.0.1", port, backlog=BACKLOG)
        yield core.sockets[0].getsockname()[1]
        core.close()


async def run(port: int, compress: bool) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with serving(port, compress) as port:
        print(f"listening on ws://127.0.0.1:{port}/ws", flush=True)
        await stopped.wait()


def main() -> None:
    asked = arguments(__doc__)
    uvloop.run(run(asked.port, asked.compress))


if __name__ == "__main__":
    main()
