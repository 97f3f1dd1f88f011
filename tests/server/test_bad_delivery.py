"""What a client may get wrong of the delivery contract: a code, a sentence, and nothing is lost. Over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from house.client import Client, connected
from house.process import broker_process
from tickwire.wire.messages import (
    Ack,
    Consume,
    Consumed,
    Delivery,
    Hello,
    Message,
    Publish,
    Refusal,
    Returned,
    Run,
    Subscribe,
    Subscribed,
    Welcome,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory: Path = tmp_path_factory.mktemp("store")
    async with broker_process("--data", str(directory)) as broker:
        yield broker.url


async def refused(client: Client, message: Message) -> Refusal:
    await client.send(message)
    return await client.expect(Refusal)


async def epoch_of(url: str, client: Client) -> int:
    await client.send(Hello())
    return (await client.expect(Welcome)).epoch


async def publish(client: Client, topic: str, *payloads: bytes, sequence: int | None = None) -> int:
    """The offset of the first."""
    await client.send(Publish(1, [Run(topic, list(payloads))], sequence))
    return (await client.expect(Ack)).receipts[0][1]


async def offsets(client: Client, stream: int, count: int) -> list[tuple[int, int]]:
    """(offset, attempt) of messages on a stream, as many as are wanted."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        delivery = await client.expect(Delivery)
        if delivery.stream == stream:
            for section in delivery.sections:
                found += [(section.first + n, section.attempt or 1) for n in range(len(section.payloads))]
    return found


async def history(client: Client, topic: str) -> list[int]:
    await client.send(Subscribe(99, topic, since=("earliest",), once=True))
    stream = (await client.expect(Subscribed)).stream
    return [offset for offset, _ in await offsets(client, stream, COUNT)]


async def test_a_resume_from_the_future_is_refused_and_one_from_the_past_goes_on(url: str) -> None:
    async with connected(url, greet=False) as client:
        epoch = await epoch_of(url, client)
        await publish(client, "future", *[b"x"] * COUNT)

        by_since = await refused(client, Subscribe(1, "future", since=("offset", epoch, COUNT + 1)))
        by_seen = await refused(client, Subscribe(1, "future", seen=(epoch, 0), positions=[("future", 1 << 50)]))

        assert (by_since.code, by_seen.code) == ("future_position", "future_position")
        assert f"the next one is {COUNT}" in by_since.text
        assert await history(client, "future") == list(range(COUNT))


async def test_another_epoch_is_no_error_and_everything_comes(url: str) -> None:
    async with connected(url, greet=False) as client:
        epoch = await epoch_of(url, client)
        await publish(client, "epochs", *[b"x"] * COUNT)

        await client.send(Subscribe(1, "epochs", seen=(epoch ^ 1, 1 << 40), positions=[("epochs", 7)]))

        stream = (await client.expect(Subscribed)).stream
        assert [offset for offset, _ in await offsets(client, stream, COUNT)] == list(range(COUNT))


async def test_sequences_that_go_back_or_say_something_else_are_refused_and_nothing_is_stored_twice(url: str) -> None:
    async with connected(url, greet=False) as client:
        await client.send(Hello(publisher="p", incarnation=1))
        await client.expect(Welcome)
        for sequence in range(10, 10 + COUNT):
            await publish(client, "sequences", b"x", sequence=sequence)

        back = await refused(client, Publish(2, [Run("sequences", [b"x"])], 9))
        other = await refused(client, Publish(3, [Run("sequences", [b"y"])], 12))

        assert (back.code, back.id, other.code, other.id) == ("window_expired", 2, "identity_conflict", 3)
        assert await publish(client, "sequences", b"x", sequence=12) == 2
        assert await history(client, "sequences") == list(range(COUNT))


async def test_acknowledgments_of_what_is_not_ones_own_are_refused_and_the_messages_come_to_somebody(url: str) -> None:
    async with connected(url) as one, connected(url) as two:
        await publish(one, "work", *[b"x"] * COUNT)
        await one.send(Consume(1, "work", "crew", 4))
        mine = await offsets(one, (await one.expect(Subscribed)).stream, 4)
        await two.send(Consume(5, "work", "crew", 4))
        theirs = await offsets(two, (await two.expect(Subscribed)).stream, 4)
        assert (mine, theirs) == ([(n, 1) for n in range(4)], [(n, 1) for n in range(4, 8)])

        wrong = [
            Consumed(2, [("work", 0, 1)]),
            Consumed(1, [("work", 4, 5)]),
            Consumed(1, [("work", 9, 10)]),
            Consumed(1, [("work", 1 << 40, (1 << 40) + 1)]),
            Consumed(1, [("nothing", 0, 1)]),
            Returned(1, [("work", 5, 6)]),
        ]
        codes = [(await refused(one, message)).code for message in wrong]
        await one.send(Consumed(1, [("work", 0, 2)]))
        assert await offsets(one, 1, 2) == [(8, 1), (9, 1)]
        repeated = await refused(one, Consumed(1, [("work", 1, 2)]))

        assert codes == ["unknown_consumer", "ack_foreign", "ack_future", "ack_future", "ack_unknown", "ack_foreign"]
        assert (repeated.code, repeated.id) == ("ack_repeated", 1)


async def test_another_pattern_under_the_name_of_a_group_is_refused(url: str) -> None:
    async with connected(url) as client:
        await client.send(Consume(1, "a.>", "taken", 1))
        await client.expect(Subscribed)

        conflict = await refused(client, Consume(2, "b.>", "taken", 1))
        unnamed = await refused(client, Consume(3, "b.>", "two.words", 1))

        assert (conflict.code, "'a.>'" in conflict.text) == ("group_conflict", True)
        assert unnamed.code == "bad_group"


async def test_a_storm_of_messages_given_back_ends_with_the_dead_letters_and_others_notice_nothing(url: str) -> None:
    async with connected(url) as stormy, connected(url) as calm:
        await publish(stormy, "storm", *[b"x"] * COUNT)
        await calm.send(Subscribe(1, "$dead.storm"))
        await calm.expect(Subscribed)
        await stormy.send(Consume(1, "storm", "storm", COUNT, attempts=3))
        stream = (await stormy.expect(Subscribed)).stream

        attempts: list[int] = []
        async with asyncio.timeout(20):
            while len(attempts) < 3 * COUNT:
                for offset, attempt in await offsets(stormy, stream, 1):
                    attempts.append(attempt)
                    await stormy.send(Returned(1, [("storm", offset, offset + 1)]))
            dead = await offsets(calm, 0, COUNT)

        assert sorted(attempts) == [1] * COUNT + [2] * COUNT + [3] * COUNT
        assert [offset for offset, _ in dead] == list(range(dead[0][0], dead[0][0] + COUNT))
        await publish(calm, "calm", b"still here")
