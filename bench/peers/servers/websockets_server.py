"""The library `websockets` as a server of topics: its asyncio server and its own broadcast(), on uvloop."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from contextlib import suppress

import uvloop
from asked import BACKLOG, arguments, topics_of
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

READERS: defaultdict[int, set[ServerConnection]] = defaultdict(set)


async def handler(connection: ServerConnection) -> None:
    """One connection: with ?publish=1 it only sends, else it gets the messages of ?topics=3,17."""
    assert connection.request is not None
    topics = topics_of(connection.request.path)
    if topics is None:
        await publish(connection)
    else:
        await read(connection, topics)


async def publish(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in connection:
            assert isinstance(message, bytes)
            broadcast(READERS[int.from_bytes(message[-4:])], message)


async def read(connection: ServerConnection, topics: list[int]) -> None:
    for topic in topics:
        READERS[topic].add(connection)
    try:
        await connection.wait_closed()
    finally:
        for topic in topics:
            READERS[topic].discard(connection)


async def run(port: int, compress: bool) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    compression = "deflate" if compress else None
    async with serve(handler, "127.0.0.1", port, compression=compression, backlog=BACKLOG) as server:
        host, port = next(iter(server.sockets)).getsockname()
        print(f"listening on ws://{host}:{port}/ws", flush=True)
        await stopped.wait()


def main() -> None:
    asked = arguments(__doc__)
    uvloop.run(run(asked.port, asked.compress))


if __name__ == "__main__":
    main()
