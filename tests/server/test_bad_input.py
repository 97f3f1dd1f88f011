"""Whatever a client sends: a code, a sentence, and the others notice nothing. Over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from house.client import Client, connected
from house.process import BrokerProcess, broker_process
from house.raw import DEFLATE, upgraded
from tickwire.wire.encode import encode
from tickwire.wire.limits import SUBPROTOCOL
from tickwire.wire.messages import Ack, Bye, Delivery, Hello, Publish, Refusal, Run, Subscribe, Subscribed, Unsubscribe

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
LOOP_MS = 20.0  # what one frame may take of the loop


@contextlib.asynccontextmanager
async def bystander(url: str) -> AsyncIterator[None]:
    """Somebody who publishes to themselves all the while, and misses nothing."""
    async with connected(url) as client:
        await client.send(Subscribe(1, "bystander"))
        first = (await client.expect(Subscribed)).offset or 0
        enough = asyncio.Event()

        async def talk() -> int:
            for number in itertools.count():
                await client.send(Publish(None, [Run("bystander", [b"%d" % number])]))
                delivery = await client.expect(Delivery)
                assert [(s.first, s.payloads) for s in delivery.sections] == [(first + number, [b"%d" % number])]
                await asyncio.sleep(0.01)
                if enough.is_set():
                    return number
            raise AssertionError

        talking = asyncio.create_task(talk())
        yield
        enough.set()
        assert await talking >= 0


async def still_works(client: Client) -> None:
    await client.send(Publish(77, [Run("works", [b"x"])]))
    ack = await client.expect(Ack)
    assert ack.receipts[0][0] == 77


@dataclass
class Bad:
    name: str
    frame: bytes
    code: str
    says: str
    closes: int | None = None


NESTED = b"\x91" * MIB
EMPTIES = b"\xdc\x00\x7f" + (b"\xdc\x20\x00" + b"\x90" * 8192) * 127
TOPIC = "x" * 256

CASES = [
    Bad("an empty frame", b"", "bad_frame", "frame", 1007),
    Bad("a frame that is cut", encode(Publish(1, [Run("a", [b"abc"])]))[:-2], "bad_frame", "frame", 1007),
    Bad("what is not msgpack", b"\xc1\xff", "bad_frame", "frame", 1007),
    Bad("what is no array", b"\xa5hello", "bad_frame", "array", 1007),
    Bad("arrays nested a million deep", NESTED, "bad_frame", "frame", 1007),
    Bad("a mebibyte of empty arrays", EMPTIES, "bad_frame", "arrays", 1007),
    Bad("an extension type", b"\x93\x04\x01\xd6\xff\x00\x00\x00\x00", "bad_frame", "frame", 1007),
    Bad("a frame over the limit", bytes(MIB + 1), "frame_too_large", str(MIB), 1009),
    Bad("a kind that is not there", b"\x91\x63", "unknown_kind", "99"),
    Bad("a kind that is no integer", b"\x91\xa1a", "bad_frame", "kind", 1007),
    Bad("a kind of the broker's", b"\x92\x12\x01", "unknown_kind", "UNSUBSCRIBED"),
    Bad("runs of the wrong type", b"\x93\x04\x05\xa1a", "bad_field", "runs"),
    Bad("a payload of the wrong type", b"\x93\x04\x05\x91\x92\xa1a\x91\xa1b", "bad_field", "payloads"),
    Bad("a run without payloads", b"\x93\x04\x05\x91\x92\xa1a\x90", "bad_field", "payloads"),
    Bad("an id below zero", b"\x93\x02\xff\xa1a", "bad_field", "id"),
    Bad("an id of 2^53", b"\x93\x02\xcf\x00\x20\x00\x00\x00\x00\x00\x00\xa1a", "bad_field", "id"),
    Bad("an id that is true", b"\x93\x02\xc3\xa1a", "bad_field", "id"),
    Bad("a topic that is too long", encode(Publish(5, [Run(TOPIC, [b""])])), "bad_topic", "255"),
    Bad("a topic with an empty segment", encode(Publish(5, [Run("a..b", [b""])])), "bad_topic", "empty segment"),
    Bad("a topic with a space", encode(Publish(5, [Run("a b", [b""])])), "bad_topic", "space"),
    Bad("a topic with a wildcard", encode(Publish(5, [Run("a.*", [b""])])), "bad_topic", "wildcard"),
    Bad("a topic of 17 levels", encode(Publish(5, [Run(".".join("a" * 17), [b""])])), "bad_topic", "16"),
    Bad("a pattern with > inside", encode(Subscribe(5, "a.>.b")), "bad_pattern", ">"),
    Bad("a payload over the limit", encode(Publish(5, [Run("a", [bytes(1_000_001)])])), "payload_too_large", "1000000"),
    Bad("too many messages", encode(Publish(5, [Run("a", [b""] * 8193)])), "too_many_messages", "8192"),
    Bad("too many in two runs", encode(Publish(5, [Run("a", [b""] * 5000)] * 2)), "too_many_messages", "8192"),
    Bad("what was never subscribed", encode(Unsubscribe(5)), "unknown_subscription", "5"),
    Bad("a second hello", encode(Hello()), "already_greeted", "HELLO"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker() -> AsyncIterator[BrokerProcess]:
    async with broker_process() as process:
        yield process


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
async def test_bad_input_has_its_code_and_sentence_and_the_others_notice_nothing(
    broker: BrokerProcess, bad: Bad
) -> None:
    async with bystander(broker.url), connected(broker.url) as client:
        await client.send(bad.frame)

        if bad.closes:
            bye = await client.expect(Bye)
            assert (bye.code, await client.closed()) == (bad.code, bad.closes)
            assert bad.says in bye.text
        else:
            refusal = await client.expect(Refusal)
            assert refusal.code == bad.code
            assert bad.says in refusal.text
            await still_works(client)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
async def test_no_frame_holds_the_loop(broker: BrokerProcess, bad: Bad) -> None:
    spent = []
    for _ in range(3):
        async with connected(broker.url) as client:
            before = broker.cpu_ms()
            await client.send(bad.frame)
            await client.expect(Bye if bad.closes else Refusal)
            spent.append(broker.cpu_ms() - before)

    assert min(spent) < LOOP_MS


async def test_a_text_message_is_answered_with_goodbye(broker: BrokerProcess) -> None:
    async with bystander(broker.url), connected(broker.url) as client:
        await client.ws.send_str("hello?")

        assert (await client.expect(Bye)).code == "text_frame"
        assert await client.closed() == 1003


async def test_a_bomb_of_compressed_zeros_is_refused_by_its_inflated_size(broker: BrokerProcess) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(100 * MIB)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < MIB

    spent = []
    for _ in range(3):
        async with bystander(broker.url), upgraded(broker.url, DEFLATE) as raw:
            raw.send_message(encode(Hello()))
            before = broker.cpu_ms()
            raw.send_message(bomb[:-4], deflated=True)
            (*_, bye), code = await raw.last_words()
            spent.append(broker.cpu_ms() - before)
            assert isinstance(bye, Bye)
            assert (bye.code, code) == ("frame_too_large", 1009)
            assert str(MIB) in bye.text
    assert min(spent) < LOOP_MS


@pytest.mark.parametrize("frame", [b"\x92\x05\x01", encode(Publish(1, [Run("a", [b"x"])])), b"\xc1", bytes(20_000)])
async def test_before_the_hello_everything_else_is_refused(broker: BrokerProcess, frame: bytes) -> None:
    async with bystander(broker.url), connected(broker.url, greet=False) as client:
        await client.send(frame)

        bye = await client.expect(Bye)
        assert bye.code in ("hello_expected", "bad_frame", "frame_too_large")
        assert await client.closed() in (1002, 1007, 1009)


async def test_an_upgrade_without_the_subprotocol_is_answered_400_with_its_name(broker: BrokerProcess) -> None:
    async with aiohttp.ClientSession() as session:
        for protocols in ((), ("tickwire.v2", "chat")):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(broker.url, protocols=protocols)
            assert refused.value.status == 400
        async with session.get(broker.url.replace("ws:", "http:")) as answer:
            assert answer.status == 400
            assert SUBPROTOCOL in await answer.text()


async def test_the_257th_connection_of_an_address_is_refused_and_leaving_makes_room(broker: BrokerProcess) -> None:
    async with bystander(broker.url), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(broker.url)) for _ in range(255)]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(broker.url, protocols=(SUBPROTOCOL,))
            assert refused.value.status == 429
            assert refused.value.headers is not None
            assert int(refused.value.headers["Retry-After"]) >= 1

        await clients[0].ws.close()
        async with connected(broker.url) as one_more:
            await still_works(one_more)
