"""The library `websockets` as a server of topics: its asyncio server and its own broadcast(), on uvloop."""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
from collections import defaultdict
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

BACKLOG = 5_000
READERS: defaultdict[int, set[ServerConnection]] = defaultdict(set)


async def handler(connection: ServerConnection) -> None:
    """One connection: with ?publish=1 it only sends, else it gets the messages of ?topics=3,17."""
    assert connection.request is not None
    query = parse_qs(urlsplit(connection.request.path).query)
    if "publish" in query:
        await publish(connection)
    else:
        await read(connection, [int(topic) for topic in query.get("topics", ["0"])[0].split(",")])


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks one")
    parser.add_argument("--compress", action="store_true", help="permessage-deflate, as the library does it by default")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(run(arguments.port, arguments.compress))


if __name__ == "__main__":
    main()
