"""Whatever comes in place of a handshake is answered or cut off, and is no fault of the broker's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

import pytest

from house.client import connected
from house.raw import UPGRADE, dialled
from tickwire.server import Broker, Settings

ROUNDS = 400


def changed(stream: bytes, chance: random.Random) -> bytes:
    """A few bytes, lines or pieces of it are other ones, away, or there twice."""
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(stream))
        end = min(len(stream), at + chance.choice((1, 1, 2, 8, 40)))
        piece = stream[at:end]
        put = chance.choice((b"", piece * 2, chance.randbytes(end - at), b"\r\n", b"\x00", piece.upper(), b": ", b","))
        stream = stream[:at] + put + stream[end:] or b"x"
    return stream


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_in_place_of_a_handshake(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    settings = Settings(handshake_timeout=0.3, connects_per_second=0, auth_secret="x" * 32, anonymous="loopback")
    broker = Broker(settings)
    caplog.set_level(logging.WARNING, "tickwire")
    async with broker.serving(port=0) as url:
        whole = UPGRADE.format(path="/ws", host="x") + "Origin: http://a.b\r\nAuthorization: Bearer a.b.c\r\n\r\n"

        async def come(stream: bytes) -> bytes:
            async with dialled(url) as raw:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    raw.writer.write(stream)
                    if chance.random() < 0.3:
                        raw.writer.write_eof()
                    return (await asyncio.wait_for(raw.reader.readline(), 5))[:12]
            return b""

        for _ in range(ROUNDS // 20):
            lines = await asyncio.gather(*(come(changed(whole.encode(), chance)) for _ in range(20)))
            assert set(lines) <= {
                b"",
                *(b"HTTP/1.%d %d" % (v, s) for v in (0, 1) for s in (101, 400, 401, 403, 404, 405, 413, 426, 431)),
            }
        async with connected(url):
            assert len(broker._connections) >= 1
        async with asyncio.timeout(10):
            while broker._door.book.count:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.02)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
