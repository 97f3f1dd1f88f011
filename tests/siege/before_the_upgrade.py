"""What is done before there is a WebSocket: half requests, wrong ones, too many."""

from __future__ import annotations

import asyncio
import contextlib

from tickwire.wire.encode import encode
from tickwire.wire.messages import Hello

from .attackers import answer, dial, greeted, reset, said, sources, upgrade
from .casebook import Casebook, together

BEFORE: Casebook[int] = Casebook()  # of the port
case = BEFORE.case


@case
async def headers_that_come_a_byte_at_a_time(port: int) -> None:
    async def drip(number: int) -> bytes:
        async with dial(port) as raw:
            with contextlib.suppress(ConnectionError):
                for byte in upgrade():
                    raw.writer.write(bytes((byte,)))
                    await raw.writer.drain()
                    await asyncio.sleep(0.05)
            return await answer(raw)

    assert set(await together(50, drip)) == {b""}  # cut off, within the second that there is for the handshake


@case
async def ten_thousand_handshakes_that_are_begun_and_left(port: int) -> None:
    addresses = sources(400)

    async def begin(number: int) -> bytes:
        try:
            async with dial(port, addresses[number % len(addresses)]) as raw:
                raw.writer.write(upgrade()[:40])
                return await answer(raw)
        except OSError:
            return b""

    assert set(await together(10_000, begin, at_once=1_500)) <= {b""}


@case
async def more_connections_than_an_address_may_have(port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        statuses = []
        for _ in range(300):
            raw = await stack.enter_async_context(dial(port, "127.9.0.1"))
            raw.writer.write(upgrade())
            head = await answer(raw)
            statuses.append(int(head.split()[1]))
            if statuses[-1] == 101:
                raw.send_message(encode(Hello()))
                await said(raw)
            else:
                assert b"Retry-After: 1\r\n" in head
        assert statuses == [101] * 256 + [429] * 44
        async with greeted(port, "127.9.0.2"):
            pass


@case
async def a_reset_at_every_byte_of_the_handshake(port: int) -> None:
    stream = upgrade() + b"\x82\x84" + bytes(4) + encode(Hello())[:4]

    async def come_and_go(number: int) -> None:
        async with dial(port, sources(50)[number % 50]) as raw:
            raw.writer.write(stream[:number])
            await raw.writer.drain()
            reset(raw)

    await together(len(stream) + 1, come_and_go, at_once=20)


@case
async def requests_that_are_no_http(port: int) -> None:
    wrong = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 10_000, b"\x00" * 5_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /ws HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
        b"GET /ws HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000,
        b"GET /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]  # fmt: skip

    async def say(number: int) -> bytes:
        async with dial(port, "127.9.1.1") as raw:
            with contextlib.suppress(ConnectionError):
                raw.writer.write(wrong[number % len(wrong)])
                await raw.writer.drain()
            return (await answer(raw))[:12]

    for status in await together(5 * len(wrong), say, at_once=10):
        assert status in (b"", b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405", b"HTTP/1.1 413")


@case
async def pages_of_others_and_tokens_in_urls(port: int) -> None:
    for more, status in (("Origin: https://evil.example\r\n", b"403"), ("Origin: null\r\n", b"403")):
        async with dial(port) as raw:
            raw.writer.write(upgrade(more))
            assert (await answer(raw)).split()[1] == status
    async with dial(port) as raw:
        raw.writer.write(upgrade().replace(b"/ws", b"/ws?access_token=secret"))
        assert (await answer(raw)).split()[1] == b"400"
