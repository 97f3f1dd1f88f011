"""What is asked for: messages that cannot be, and more than there is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random

import msgpack

from tickwire.wire.encode import encode
from tickwire.wire.messages import Publish, Refusal, Run, Subscribe, Subscribed

from .attackers import greeted, last_words, said
from .casebook import Casebook, together

ASKING: Casebook[int] = Casebook()  # of the port
case = ASKING.case


@case
async def bombs_of_msgpack(port: int) -> None:
    nested = b"\x91" * 100_000 + b"\xc0"
    wide = b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0xF0000
    claims = b"\xdd\xff\xff\xff\xff"
    for bomb in (nested, wide, claims, b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"):
        for _ in range(3):
            async with greeted(port, "127.9.4.1") as raw:
                raw.send_message(bomb)
                assert await last_words(raw) == ("bad_frame", 1007)


@case
async def random_bytes(port: int) -> None:
    seed = random.Random(5)

    async def babble(number: int) -> None:
        async with greeted(port, "127.9.5.1", deflate=True) as raw:
            for _ in range(20):
                body = seed.randbytes(seed.randrange(200))
                raw.send_message(body, seed.choice([0, 1, 2, 8, 9, 10]), seed.random() < 0.3, seed.random() < 0.8)
            with contextlib.suppress(ConnectionError):
                await raw.writer.drain()
            raw.writer.write_eof()
            await last_words(raw)

    await together(150, babble, at_once=20)


@case
async def topics_without_end(port: int) -> None:
    refused = 0
    async with greeted(port, "127.9.6.1") as raw:
        for start in range(0, 30_000, 2_000):
            runs = [Run(f"flood.{number}", [b""]) for number in range(start, start + 2_000)]
            raw.send_message(encode(Publish(start, runs)))
            if isinstance(word := await said(raw), Refusal):
                assert word.code == "too_many_topics"
                refused += 1
    assert refused


@case
async def subscriptions_without_end(port: int) -> None:
    async with greeted(port, "127.9.7.1") as raw:
        codes = set()
        for id in range(3_000):
            raw.send_message(encode(Subscribe(id, f"flood.*.{id}.>")))
        for _ in range(3_000):
            word = await said(raw)
            codes.add(word.code if isinstance(word, Refusal) else type(word).__name__)
    assert codes == {Subscribed.__name__, "too_many_subscriptions"}


@case
async def readers_that_do_not_read(port: int) -> None:
    async def lag(number: int) -> None:
        async with greeted(port, "127.9.8.1") as raw:
            raw.send_message(encode(Subscribe(1, "lag")))
            await said(raw)
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(4)

    async def feed() -> None:
        async with greeted(port, "127.9.8.2") as raw:
            for id in range(300):
                raw.send_message(encode(Publish(id, [Run("lag", [os.urandom(60_000)])])))
                await said(raw)

    await asyncio.gather(together(100, lag), feed())


@case
async def requests_whose_answers_nobody_takes(port: int) -> None:
    async def ask(number: int) -> None:
        async with greeted(port, "127.9.9.1") as raw:
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for id in range(20_000):
                raw.send_message(b"\x92\x03" + msgpack.packb(id))
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(raw.writer.drain(), 3)

    await together(20, ask)
