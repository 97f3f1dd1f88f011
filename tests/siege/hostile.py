"""250 who do all of it at once, for as long as they are told: `python -m siege.hostile PORT SECONDS`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time

import uvloop

from tickwire.wire.encode import encode
from tickwire.wire.messages import Hello, Publish, Run, Subscribe

from .attackers import answer, deflated, dial, reset, said, sources, upgrade

CROWD = 250
BOMB = deflated(bytes(8 << 20))
NESTED = b"\x91" * 50_000 + b"\xc0"
RULES = (b"\x82\x00", b"\x83\x80" + bytes(4), b"\x82\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), b"\xa2\x80" + bytes(4))


async def headers(port: int, source: str, ends: float) -> None:
    async with dial(port, source) as raw:
        for byte in upgrade():
            raw.writer.write(bytes((byte,)))
            await asyncio.sleep(0.05)


async def half(port: int, source: str, ends: float) -> None:
    async with dial(port, source) as raw:
        raw.writer.write(upgrade()[: random.randrange(200)])
        await asyncio.sleep(0.2)
        reset(raw)


LIES = (
    "X-Forwarded-For: 203.0.113.9\r\n",
    "Origin: https://evil.example\r\n",
    "Host: another\r\n",
    "Content-Length: 9\r\n",
    "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n",
    "Sec-WebSocket-Version: 8\r\n",
)


async def lies(port: int, source: str, ends: float) -> None:
    async with dial(port, source) as raw:
        raw.writer.write(upgrade(random.choice(LIES)))
        await answer(raw)


async def forged(port: int, source: str, ends: float) -> None:
    async with dial(port, source) as raw:
        raw.writer.write(upgrade())
        await answer(raw)
        raw.send_message(encode(Hello(token="eyJhbGciOiJub25lIn0.e30." + "x" * 9_000)))
        await raw.rest()


async def fragments(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        raw.writer.write(b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 2_000)
        await raw.rest()


async def silent(port: int, source: str, ends: float) -> None:
    async with dial(port, source) as raw:
        raw.writer.write(upgrade())
        await answer(raw)
        await raw.rest()


async def broken(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        raw.writer.write(random.choice(RULES))
        await raw.rest()


async def bombs(port: int, source: str, ends: float) -> None:
    async with let_in(port, source, "Sec-WebSocket-Extensions: permessage-deflate\r\n") as raw:
        raw.send_message(random.choice((BOMB, os.urandom(50))), deflated=True)
        await raw.rest()


async def nested(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        raw.send_message(NESTED)
        await raw.rest()


async def drip(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        raw.writer.write(b"\x82\xfe\xff\x00" + bytes(4))
        while time.monotonic() < ends:
            raw.writer.write(b"\x00")
            await raw.writer.drain()
            await asyncio.sleep(0.2)


async def pings(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        for _ in range(20):
            raw.writer.write((b"\x89\xfd" + bytes(129)) * 100)
            await asyncio.wait_for(raw.writer.drain(), 2)
            await asyncio.sleep(0.1)


async def patterns(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        for id in range(200):
            raw.send_message(encode(Subscribe(id, f"{random.random()}.*.>")))
            await said(raw)


async def lag(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        raw.send_message(encode(Subscribe(1, ">")))
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3)


async def publishes(port: int, source: str, ends: float) -> None:
    async with let_in(port, source) as raw:
        for id in range(50):
            raw.send_message(encode(Publish(id, [Run(f"hostile.{random.randrange(999)}", [os.urandom(2_000)] * 5)])))
            await said(raw)
            await asyncio.sleep(0.02)


WAYS = (headers, half, lies, forged, fragments, silent, broken, bombs, nested, drip, pings, patterns, lag, publishes)


@contextlib.asynccontextmanager
async def let_in(port: int, source: str, more: str = ""):  # type: ignore[no-untyped-def]
    async with dial(port, source) as raw:
        raw.writer.write(upgrade(more))
        await answer(raw)
        raw.send_message(encode(Hello()))
        await said(raw)
        yield raw


async def one(port: int, source: str, ends: float) -> int:
    """Whatever comes to its mind, one after another."""
    done = 0
    while time.monotonic() < ends:
        with contextlib.suppress(OSError, RuntimeError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            await asyncio.wait_for(random.choice(WAYS)(port, source, ends), max(0.1, ends - time.monotonic()))
        done += 1
        await asyncio.sleep(random.random() * 0.1)
    return done


async def main(port: int, seconds: float) -> None:
    ends = time.monotonic() + seconds
    done = await asyncio.gather(*(one(port, source, ends) for source in sources(CROWD)))
    print(sum(done))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
