"""The proxy forwards faithfully, and breaks what it is told to break, where its seed says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .proxy import Proxy

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_behind(seed: int = 0) -> AsyncIterator[Proxy]:
    """A proxy in front of a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65536):
                writer.write(block)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        async with Proxy(server.sockets[0].getsockname()[1], seed) as proxy:
            yield proxy
    finally:
        server.close()


@asynccontextmanager
async def connection(proxy: Proxy) -> AsyncIterator[Pair]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        yield reader, writer
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes, until the end or a reset."""
    had = b""
    try:
        while block := await reader.read(65536):
            had += block
    except ConnectionError:
        pass
    return had


async def test_what_goes_in_comes_out() -> None:
    sent = bytes(range(256)) * 4096

    async with echo_behind() as proxy, connection(proxy) as (reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent


async def test_all_connections_are_cut_at_once() -> None:
    async with echo_behind() as proxy, connection(proxy) as (one, _), connection(proxy) as (another, _):
        assert proxy.cut_all() == 2

        assert await rest(one) == await rest(another) == b""


async def test_a_connection_is_cut_at_the_byte_that_the_seed_chooses() -> None:
    async def cut(seed: int) -> int:
        async with echo_behind(seed) as proxy, connection(proxy) as (reader, writer):
            assert proxy.cut_one_at(1, 60_000)
            writer.write(bytes(100_000))
            return len(await rest(reader))

    lengths = [await cut(seed) for seed in (1, 1, 3)]

    assert lengths[0] == lengths[1] != lengths[2]
    assert 0 < min(lengths) <= max(lengths) <= 60_000


async def test_a_frozen_connection_is_silent_but_open_until_it_is_healed() -> None:
    async with echo_behind() as proxy, connection(proxy) as (reader, writer):
        assert proxy.freeze_one()
        writer.write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(5), 0.05)

        proxy.heal()

        assert await reader.readexactly(5) == b"later"


async def test_a_throttled_connection_takes_its_time() -> None:
    async with echo_behind() as proxy, connection(proxy) as (reader, writer):
        proxy.rate = 100_000
        began = asyncio.get_running_loop().time()
        writer.write(bytes(5_000))
        await reader.readexactly(5_000)

        assert asyncio.get_running_loop().time() - began >= 0.09


async def test_nobody_behind_the_proxy_is_a_closed_connection() -> None:
    async with echo_behind() as proxy:
        proxy.target = 9  # discard: nothing listens there
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        assert await rest(reader) == b""
        writer.close()
