"""What is done on a WebSocket before it says HELLO, and with its frames."""

from __future__ import annotations

import asyncio
import contextlib

from tickwire.wire.encode import encode
from tickwire.wire.messages import Hello, Publish, Run

from .attackers import answer, deflated, dial, greeted, last_words, sources, upgrade
from .casebook import Casebook, together

FRAMES: Casebook[int] = Casebook()  # of the port
case = FRAMES.case


@case
async def those_who_are_let_in_and_say_nothing(port: int) -> None:
    async def wait(number: int) -> tuple[str, int]:
        async with dial(port, "127.9.2.1") as raw:
            raw.writer.write(upgrade())
            assert b" 101 " in await answer(raw)
            return await last_words(raw)

    assert set(await together(100, wait)) == {("hello_timeout", 1002)}


@case
async def a_first_frame_that_is_no_hello(port: int) -> None:
    for frame, code in ((b"\xc1", "bad_frame"), (encode(Publish(1, [Run("a", [b""])])), "hello_expected")):
        async with dial(port) as raw:
            raw.writer.write(upgrade())
            await answer(raw)
            raw.send_message(frame)
            assert (await last_words(raw))[0] == code


@case
async def a_hello_that_is_too_long(port: int) -> None:
    async with dial(port) as raw:
        raw.writer.write(upgrade())
        await answer(raw)
        raw.send_message(encode(Hello(token="x" * 20_000)))
        assert await last_words(raw) == ("frame_too_large", 1009)


# Frames.


@case
async def frames_that_break_the_rules(port: int) -> None:
    wrong = [
        b"\x82\x00",
        b"\x83\x80" + bytes(4),
        b"\xa2\x80" + bytes(4),
        b"\x89\xfe\x00\x7e" + bytes(130),
        b"\x09\x80" + bytes(4),
        b"\x80\x80" + bytes(4),
        b"\x82\xfe\x00\x01" + bytes(5),
        b"\x88\x81" + bytes(5),
        b"\x88\x82" + bytes(4) + b"\x03\xee",
        b"\xc2\x80" + bytes(4),
        b"\xc9\x80" + bytes(4),
        b"\x82\xff" + b"\xff" * 8 + bytes(4),
    ]
    for frame in wrong:
        async with greeted(port) as raw:
            raw.writer.write(frame)
            assert await last_words(raw) == ("bad_websocket", 1002), frame


@case
async def lengths_up_to_2_to_the_63(port: int) -> None:
    for length in ((1 << 20) + 1, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1):
        async with greeted(port) as raw:
            raw.writer.write(b"\x82\xff" + length.to_bytes(8) + bytes(4) + bytes(1000))
            assert await last_words(raw) == ("frame_too_large", 1009)


@case
async def a_frame_that_comes_a_byte_at_a_time(port: int) -> None:
    async def drip(number: int) -> tuple[str, int]:
        async with greeted(port, "127.9.3.1") as raw:
            raw.writer.write(b"\x82\xfe\xff\x00" + bytes(4))
            ended = asyncio.ensure_future(last_words(raw))
            while not ended.done():
                with contextlib.suppress(ConnectionError):
                    raw.writer.write(b"\x00")
                await asyncio.wait([ended], timeout=0.2)
            return await ended

    assert set(await together(40, drip)) == {("too_slow", 1008)}


@case
async def fragments_without_end(port: int) -> None:
    async with greeted(port) as raw:
        raw.writer.write(b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 20_000)
        assert await last_words(raw) == ("bad_websocket", 1008)
    async with greeted(port) as raw:
        raw.writer.write(b"\x02\x80" + bytes(4) + (b"\x00\xfe\xff\xff" + bytes(4 + 65_535)) * 20)
        assert await last_words(raw) == ("frame_too_large", 1009)


@case
async def floods_of_pings(port: int) -> None:
    flood = (b"\x89\xfd" + bytes(4) + bytes(125)) * 2_000

    async def ping(number: int) -> None:
        async with greeted(port, sources(9)[number]) as raw:
            for _ in range(40):
                raw.writer.write(flood)
                with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                    await asyncio.wait_for(raw.writer.drain(), 3)

    await together(9, ping)


@case
async def bombs_of_deflate_one_and_a_thousand_at_a_time(port: int) -> None:
    bomb = deflated(bytes(64 << 20))
    async with greeted(port, deflate=True) as raw:
        raw.send_message(bomb, deflated=True)
        assert await last_words(raw) == ("frame_too_large", 1009)
    legal = deflated(encode(Publish(1, [Run("bomb", [bytes(60_000)])])))  # within the ratio, and there are many

    async def throw(number: int) -> None:
        async with greeted(port, sources(20)[number % 20], deflate=True) as raw:
            for _ in range(10):
                raw.send_message(legal, deflated=True)
            raw.send_message(bomb, deflated=True)
            assert (await last_words(raw))[1] in (1009, 1006)

    await together(1_000, throw, at_once=50)


@case
async def what_cannot_be_inflated(port: int) -> None:
    async with greeted(port, deflate=True) as raw:
        raw.send_message(b"\xff" * 50, deflated=True)
        assert await last_words(raw) == ("bad_websocket", 1007)
