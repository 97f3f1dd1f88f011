"""Frames are taken and sent within the turn that brought or made them, where aiohttp is as we know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tickwire.server import Broker, Settings
from tickwire_client import ConnectionLost, OutcomeUnknown, TickwireError, connect
from tickwire_client.session import Session

pytestmark = pytest.mark.usefixtures("frames_either_way")


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    async with Broker(Settings(pending_peer_bytes=64 << 10)).serving(port=0) as url:
        yield url


async def test_this_aiohttp_lets_frames_be_taken_and_sent_at_once(url: str, request: pytest.FixtureRequest) -> None:
    at_once = request.node.callspec.params["frames_either_way"] == "at once"
    async with connect(url) as client:
        link = client._connection._link

        assert link is not None
        assert (link._socket.intake is not None, link.writable) == (at_once, at_once)


@pytest.mark.parametrize("size", [*range(90, 130), *range(65_470, 65_540)])
async def test_frames_of_every_length_around_the_steps_of_their_header_arrive(url: str, size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    async with connect(url) as client:
        receipt = await client.publish("a", payload=payload)
        kept = [message.payload async for message in client.history("a")]

    assert (receipt.offset, kept) == (0, [payload])


async def test_what_leaves_at_once_and_what_waits_for_the_socket_keep_their_order(url: str) -> None:
    """The broker reads 64 KiB at a time, so that the transport fills and drains again and again."""
    sent = []
    async with connect(url) as client, client.subscribe("a") as everything:
        publishing = []
        for at in range(400):
            payload = b"%d " % at + bytes(at * 997 % 30_000)
            sent.append(payload)
            if at % 3:
                client.publish_nowait("a", payload=payload)
            else:
                publishing.append(asyncio.create_task(client.publish("a", payload=payload)))
                await asyncio.sleep(0)
            if not at % 40:
                await client.flush()
        receipts = await asyncio.gather(*publishing)
        got = [(await anext(everything)).payload for _ in sent]

    assert [payload[:5] for payload in got] == [payload[:5] for payload in sent]
    assert got == sent
    assert [receipt.offset for receipt in receipts] == list(range(0, 400, 3))


@pytest.mark.parametrize(("step", "told"), [("receive", OutcomeUnknown), ("frames", ConnectionLost)])
async def test_a_fault_of_the_client_ends_it_and_who_waits_is_told(
    url: str, step: str, told: type[TickwireError], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("planted")

    async with connect(url) as client:
        monkeypatch.setattr(Session, step, fail)

        with pytest.raises(told):
            await client.publish("a", 1)
        assert client.state == "closed"
    assert "planted" in caplog.text
