"""However a client is left, nothing stays open: no task, no socket, no session of aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import AsyncIterator

import pytest

from client.scripted import Peer, States, scripted
from tickwire.wire.messages import Ack, Bye, Publish
from tickwire_client import Client, ConnectionLost, connect

pytestmark = pytest.mark.usefixtures("frames_either_way")


async def stay(peer: Peer) -> None:
    await peer.greet()
    await peer.until_gone()


@contextlib.asynccontextmanager
async def nothing_left_open() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        assert {task for task in asyncio.all_tasks() - before if task.get_name() == "tickwire client"} == set()
        await asyncio.sleep(0.01)  # transports that were aborted are held until their last callback has run
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


async def test_an_event_loop_that_ends_right_after_connecting_leaves_nothing_open() -> None:
    async with scripted(stay) as url, nothing_left_open():
        client = await connect(url)
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "tickwire client")
        task.cancel()
        await asyncio.wait([task])
        del client, task


async def test_a_body_that_raises_at_once_leaves_nothing_open() -> None:
    async with scripted(stay, stay) as url, nothing_left_open():
        with contextlib.suppress(ZeroDivisionError):
            async with connect(url):
                raise ZeroDivisionError
        with contextlib.suppress(ZeroDivisionError):
            async with connect(url) as client:
                cut(client)
                raise ZeroDivisionError
        del client


async def test_connect_that_is_cancelled_at_any_turn_leaves_nothing_open() -> None:
    async def perhaps_stay(peer: Peer) -> None:
        with contextlib.suppress(AssertionError, ConnectionError):
            await stay(peer)

    async with scripted(*[perhaps_stay] * 60) as url:
        for turns in range(60):
            async with nothing_left_open():
                states = States()
                task = asyncio.ensure_future(_connected(url, states))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await (await task).close()
                assert states.names[-1:] in ([], ["closed"])


async def _connected(url: str, states: States) -> Client:
    return await connect(url, on_state=states)


async def test_a_close_that_is_cancelled_leaves_nothing_open() -> None:
    flushing = asyncio.Event()

    async def never_acknowledge(peer: Peer) -> None:
        await peer.greet()
        while (message := await peer.hear()) is not None:
            if isinstance(message, Publish) and message.id is not None:
                flushing.set()

    states = States()
    async with scripted(never_acknowledge) as url, nothing_left_open():
        client = await connect(url, on_state=states)
        for _ in range(100):
            client.publish_nowait("a", payload=bytes(80_000))
        closing = asyncio.create_task(client.close())
        await asyncio.wait_for(flushing.wait(), 5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert states.names == ["connecting", "connected", "closed"]
        del client, closing


async def test_closing_twice_is_closing_once() -> None:
    heard: list[object] = []

    async def listen(peer: Peer) -> None:
        await peer.greet()
        heard.extend(await peer.until_gone())

    states = States()
    async with scripted(listen) as url, nothing_left_open():
        client = await connect(url, on_state=states)
        await asyncio.gather(client.close(), client.close())
        await client.close()
        with pytest.raises(ConnectionLost, match="closed"):
            await client.publish("a", 1)
        del client

    assert states.names == ["connecting", "connected", "closed"]
    assert [type(message) for message in heard] == [Bye]


async def test_what_is_published_while_it_closes_is_told_at_once() -> None:
    leaving = asyncio.Event()

    async def leave_slowly(peer: Peer) -> None:
        await peer.greet()
        assert isinstance(await peer.hear(), Bye)
        leaving.set()
        await peer.until_gone()

    async with scripted(leave_slowly) as url:
        client = await connect(url)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        with pytest.raises(ConnectionLost, match="closed"):
            await asyncio.wait_for(client.publish("a", 1), 5)
        with pytest.raises(ConnectionLost, match="closed"):
            client.publish_nowait("a", 1)
        await closing
        assert leaving.is_set()


async def test_what_is_published_while_it_still_sends_is_told_at_once() -> None:
    """It would be sent and not confirmed, or not be sent at all."""
    flushing, confirmed = asyncio.Event(), asyncio.Event()
    heard: list[int] = []

    async def confirm_late(peer: Peer) -> None:
        await peer.greet()
        while (message := await peer.hear()) is not None:
            if not isinstance(message, Publish):
                continue
            heard.extend(len(payload) for run in message.runs for payload in run.payloads)
            if message.id is not None:
                flushing.set()
                await confirmed.wait()
                await peer.say(Ack([[message.id, *(0 for _ in message.runs)]]))

    async with scripted(confirm_late) as url:
        client = await connect(url)
        for _ in range(100):
            client.publish_nowait("a", payload=bytes(80_000))
        closing = asyncio.create_task(client.close())
        await asyncio.wait_for(flushing.wait(), 5)
        with pytest.raises(ConnectionLost, match="closed"):
            client.publish_nowait("a", payload=b"2")
        with pytest.raises(ConnectionLost, match="closed"):
            await client.publish("a", payload=b"3")
        confirmed.set()
        await closing

    assert heard == [80_000] * 100


async def test_closing_while_it_reconnects_ends_the_attempts() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()

    states = States()
    async with scripted(go) as url, nothing_left_open():
        async with connect(url, on_state=states):
            await states.reach("reconnecting")
        assert states.names[-1] == "closed"


async def test_bytes_that_a_dead_broker_never_took_do_not_hold_the_reconnection() -> None:
    over = asyncio.Event()

    async def die(peer: Peer) -> None:
        await peer.greet(beat_ms=50, deadline_ms=200)
        request = peer.ws._req
        assert request is not None
        assert request.transport is not None
        request.transport.pause_reading()
        await over.wait()

    states = States()
    async with scripted(die, stay) as url, nothing_left_open():
        client = await connect(url, on_state=states)
        for _ in range(100):
            client.publish_nowait("a", payload=bytes(80_000))
        assert "nothing was heard" in await states.reach("reconnecting")
        await states.reach("connected", 2)
        await client.close(timeout=0.1)
        over.set()


def cut(client: Client) -> None:
    """The connection goes before the client could notice."""
    link = client._connection._link
    assert link is not None
    assert link._socket.transport is not None
    link._socket.transport.abort()
