"""Frames are taken off the socket at once, or by aiohttp's documented `receive`: nobody can tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiohttp import web_ws

from house.client import Client, connected
from house.link import frames_of
from house.raw import UPGRADE, Raw, dialled, upgraded
from tickwire.core.session import Session
from tickwire.server import Broker, Settings
from tickwire.server.connections.connection import FRAMES_A_TURN
from tickwire.server.connections.websocket import Socket
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.messages import Ack, Bye, Hello, Publish, Run, Subscribe

PING, TEXT = 9, 1


@dataclass
class Place:
    broker: Broker
    url: str


@pytest_asyncio.fixture(params=["at once", "by receive"])
async def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    if request.param == "by receive":
        monkeypatch.setattr(Socket, "_put_intake", lambda self, protocol: None)
    broker = Broker(Settings(pending_peer_bytes=64 << 10))
    async with broker.serving(port=0) as url:
        yield Place(broker, url)


def publish(id: int, topic: str = "a") -> bytes:
    return encode(Publish(id, [Run(topic, [b"%d" % id])]))


async def answered(raw: Raw) -> tuple[list[int], Bye | None, int]:
    """The ids that were acknowledged before the goodbye, it, and the code of the close."""
    frames, code = await raw.last_words()
    ids = [receipt[0] for frame in frames if isinstance(frame, Ack) for receipt in frame.receipts]
    return ids, next((frame for frame in frames if isinstance(frame, Bye)), None), code


async def is_well(client: Client) -> None:
    await client.send(publish(77, "well"))
    assert (await client.expect(Ack)).receipts[0][0] == 77


async def test_this_aiohttp_lets_frames_be_taken_at_once() -> None:
    broker = Broker(Settings())
    async with broker.serving(port=0) as url, connected(url):
        (connection,) = broker._connections

        assert connection.ws.intake is not None


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (b"\x83\x80" + bytes(4), 1002),
        (b"\x88\x82" + bytes(4) + b"\x03\xe8", 1000),
        (b"\x82\xff" + (3 << 20).to_bytes(8, "big") + bytes(4), 1009),
    ],
    ids=["broke the rules", "closed", "too large"],
)
@pytest.mark.parametrize("count", [20, FRAMES_A_TURN + 50])  # more than are acted on at once
async def test_what_was_published_before_aiohttp_closes_is_answered(
    place: Place, last: bytes, code: int, count: int
) -> None:
    async with upgraded(place.url) as raw:
        raw.send_message(encode(Hello()))
        for id in range(count):
            raw.send_message(publish(id))
        raw.writer.write(last)

        ids, _, found = await answered(raw)
        raw.writer.write_eof()
        assert await raw.rest() == b""

    assert (ids, found) == (list(range(count)), code)


@pytest.mark.parametrize("cut", [0, 3, 9])
async def test_what_comes_right_behind_the_upgrade_is_read_as_strictly_and_in_order(cut: int) -> None:
    hello = b"\x82" + bytes((0x80 | len(encode(Hello())),)) + bytes(4) + encode(Hello())
    whole = publish(1)
    stream = hello + b"\x82" + bytes((0x80 | len(whole),)) + bytes(4) + whole + b"\x83\x80" + bytes(4)
    async with Broker(Settings()).serving(port=0) as url, dialled(url) as raw:
        upgrade = UPGRADE.format(path="/ws", host="127.0.0.1").encode() + b"\r\n"
        raw.writer.write(upgrade + stream[: len(stream) - cut])
        assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        raw.writer.write(stream[len(stream) - cut :])

        ids, bye, code = await answered(raw)

    assert (ids, bye and bye.code, code) == ([1], "bad_websocket", 1002)


async def test_nothing_is_delivered_behind_the_close_that_a_frame_too_large_is_answered_with() -> None:
    broker = Broker(Settings(frame_bytes=32 << 10, payload_bytes=16 << 10))
    async with broker.serving(port=0) as url, upgraded(url) as raw, connected(url) as writer:
        raw.send_message(encode(Hello()))
        raw.send_message(encode(Subscribe(1, "well")))
        raw.writer.write(b"\x82\xff" + (1 << 20).to_bytes(8, "big") + bytes(4))
        _, code = await raw.last_words()
        assert code == 1009
        for _ in range(5):
            await is_well(writer)

        assert not any(connection.peer.subscriptions for connection in broker._connections)
        raw.writer.write_eof()
        assert await raw.rest() == b""


async def test_frames_of_one_write_act_in_their_order_whatever_stands_between(place: Place) -> None:
    async with upgraded(place.url) as raw:
        for body, opcode in (
            (encode(Hello()), 2), (publish(1), 2), (b"hi", PING), (publish(2), 2), (b"", 10), (publish(3), 2),
            (b"no", TEXT), (publish(4, "b"), 2),
        ):  # fmt: skip
            raw.send_message(body, opcode)

        ids, bye, code = await answered(raw)

    assert (ids, bye and bye.code, code) == ([1, 2, 3], "text_frame", 1003)
    assert place.broker.engine.topics.get("b") is None


async def test_nothing_that_follows_a_broken_frame_is_acted_on(place: Place) -> None:
    async with connected(place.url) as other, upgraded(place.url) as raw:
        for body in (encode(Hello()), publish(1), b"\xc1", publish(2, "b")):
            raw.send_message(body)

        ids, bye, code = await answered(raw)
        await is_well(other)

    assert (ids, bye and bye.code, code) == ([1], "bad_frame", 1007)
    assert place.broker.engine.topics.get("b") is None


async def test_a_flood_of_small_frames_leaves_the_others_their_turns(place: Place) -> None:
    stats = place.broker.engine.stats
    async with upgraded(place.url) as raw:
        raw.send_message(encode(Hello()))
        for id in range(1, 5_001):
            raw.send_message(publish(id))
        most, before = 0, stats.frames_in
        async with asyncio.timeout(20):
            while stats.frames_in < 5_001:
                await asyncio.sleep(0)
                most, before = max(most, stats.frames_in - before), stats.frames_in
        raw.send_message(b"", TEXT)
        ids, _, _ = await answered(raw)

    assert ids == list(range(1, 5_001))
    assert most <= 2 * FRAMES_A_TURN


async def test_a_publisher_that_is_held_up_again_and_again_is_taken_in_its_order(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frames fill the queue, so that aiohttp lays bytes aside and goes on with them while it gives out the last."""
    monkeypatch.setattr(web_ws, "DEFAULT_CHUNK_SIZE", 16 << 10)
    sent = 120
    async with upgraded(place.url) as raw:
        raw.send_message(encode(Hello()))
        for id in range(1, sent + 1):
            raw.send_message(encode(Publish(id, [Run("a", [bytes(20_000 + 97 * id)])])))
        receipts: dict[int, int] = {}
        while len(receipts) < sent:
            for frame in frames_of(await raw.next_message()):
                if isinstance(ack := decode_from_broker(frame), Ack):
                    receipts |= dict(ack.receipts)

    assert [receipts[id] - receipts[1] for id in range(1, sent + 1)] == list(range(sent))


async def test_a_fault_of_ours_ends_the_connection_that_met_it_and_is_in_the_log(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receive = Session.receive

    def faulty(self: Session, frame: bytes, now: float) -> None:
        if frame == b"fault":
            raise ZeroDivisionError("planted")
        receive(self, frame, now)

    monkeypatch.setattr(Session, "receive", faulty)
    async with connected(place.url) as other, upgraded(place.url) as raw:
        for body in (encode(Hello()), publish(1), b"fault", publish(2, "b")):
            raw.send_message(body)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await raw.next_message()
        await is_well(other)

    assert place.broker.engine.topics.get("b") is None
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


async def test_a_connection_that_is_over_is_not_kept_by_its_intake(place: Place) -> None:
    async with connected(place.url) as client:
        await is_well(client)
        (connection,) = place.broker._connections
    async with asyncio.timeout(10):
        while place.broker._connections:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)

    intake = connection.ws.intake
    assert intake is None or not intake.open
    assert intake is None or connection not in {getattr(intake.take, "__self__", None)}
