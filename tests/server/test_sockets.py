"""Frames go straight into sockets while that is safe: past nothing that waits, and into nobody else's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from house.client import connected
from house.raw import upgraded
from tickwire.fanout.descriptors import OPEN
from tickwire.server import Broker, Settings
from tickwire.wire.encode import encode
from tickwire.wire.messages import Ack, Delivery, Hello, Publish, Run, Subscribe, Subscribed


@pytest_asyncio.fixture
async def place() -> AsyncIterator[tuple[Broker, str]]:
    broker = Broker(Settings())
    async with broker.serving(port=0) as url:
        yield broker, url


def publish(id: int, data: bytes = b"x") -> Publish:
    return Publish(id, [Run("a", [data])])


async def test_a_reader_is_direct_from_its_second_delivery_on_and_held_while_it_is_owed_an_answer(
    place: tuple[Broker, str],
) -> None:
    broker, url = place
    async with connected(url) as reader, connected(url) as writer:
        (peer,) = [each.peer for each in broker._connections][:1]
        await reader.send(Subscribe(1, "a"))
        await reader.expect(Subscribed)
        for number in range(3):
            await writer.send(publish(number))
            await writer.expect(Ack)
            await reader.expect(Delivery)

        assert OPEN[peer.slot] == peer.descriptor >= 0
        await reader.send(publish(9))
        await reader.expect(Ack)
        await reader.expect(Delivery)


async def test_a_socket_that_is_about_to_be_closed_is_forgotten_first(place: tuple[Broker, str]) -> None:
    broker, url = place
    async with connected(url) as writer:
        async with connected(url) as reader:
            await reader.send(Subscribe(1, "a"))
            await reader.expect(Subscribed)
            for number in range(2):
                await writer.send(publish(number))
                await reader.expect(Delivery)
            gone = next(each for each in broker._connections if each.peer.subscriptions)
            descriptor, slot = gone.peer.descriptor, gone.peer.slot
            assert OPEN[slot] == descriptor >= 0

            gone.transport.abort()
            while descriptor == gone.peer.descriptor:
                assert gone.transport.get_extra_info("socket").fileno() == descriptor  # it is still its own
                await asyncio.sleep(0)

            assert OPEN[slot] == -1
        await writer.send(publish(5))
        await writer.expect(Ack)


async def test_whoever_gets_the_number_of_a_closed_socket_gets_nothing_else_with_it(place: tuple[Broker, str]) -> None:
    """Readers go, newcomers take their descriptors, and a publisher never stops: no newcomer has subscribed."""
    broker, url = place
    stop = asyncio.Event()

    async def publishing() -> None:
        async with connected(url) as writer:
            number = 0
            while not stop.is_set():
                await writer.send(publish(number := number + 1, bytes(200)))
                await writer.expect(Ack)

    task = asyncio.create_task(publishing())
    seen: list[int] = []
    for _ in range(40):
        async with upgraded(url) as reader:
            reader.send_message(encode(Hello()))
            reader.send_message(encode(Subscribe(1, "a")))
            for _ in range(4):
                await reader.next_message()
            (gone,) = [each for each in broker._connections if each.peer.subscriptions]
            seen.append(gone.peer.descriptor)
            gone.transport.abort()
        async with upgraded(url) as newcomer:
            newcomer.send_message(encode(Hello()))
            newcomer.send_message(encode(Publish(1, [])))
            welcome = await newcomer.next_message()
            answer = await newcomer.next_message()
            assert welcome[2:4] != answer[2:4]
            assert len(answer) < 20  # an acknowledgment, and no message of 200 bytes
    stop.set()
    await task
    assert len(set(seen)) < len(seen)  # numbers did come again


async def test_a_pong_is_not_overtaken(place: tuple[Broker, str]) -> None:
    _, url = place
    async with upgraded(url) as raw, connected(url) as writer:
        raw.send_message(encode(Hello()))
        raw.send_message(encode(Subscribe(1, "a")))
        await raw.next_message()
        await raw.next_message()
        for number in range(200):
            raw.send_message(b"%03d" % number, opcode=9)
            await writer.send(publish(number))
        pongs, deliveries = [b""], 0
        while pongs[-1] != b"199" or deliveries < 200:
            message = await raw.next_message()
            if message[0] == 0x8A:
                pongs.append(message[2:])
            else:
                deliveries += message.count(b"\xc4\x01x")
        # Of many that wait the last may stand for all, but each comes in its turn.
        assert pongs[1:] == sorted({*pongs[1:]})
        assert pongs[1] == b"000"
