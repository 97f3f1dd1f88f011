"""The shell against a broker that follows a script: refusals, losses, silence, and an application that is slow."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from client.scripted import EPOCH, Peer, States, scripted
from tickwire.wire.messages import (
    Ack,
    Beat,
    Bye,
    Delivery,
    Publish,
    Refusal,
    Run,
    Section,
)
from tickwire_client import ConnectionLost, Gap, Refused, connect

pytestmark = pytest.mark.usefixtures("frames_either_way")


async def stay(peer: Peer) -> None:
    await peer.greet()
    await peer.until_gone()


async def test_it_comes_back_after_a_goodbye_no_sooner_than_it_was_told() -> None:
    async def leave(peer: Peer) -> None:
        await peer.greet()
        await peer.say(Bye("going_away", "the broker is stopping", 300))

    states = States()
    async with scripted(leave, stay) as url, connect(url, on_state=states):
        reason = await states.reach("reconnecting")
        left = time.monotonic()
        await states.reach("connected", 2)

    assert reason == "the broker is stopping"
    assert time.monotonic() - left >= 0.3
    assert states.names == ["connecting", "connected", "reconnecting", "connected", "closed"]


async def test_the_first_connection_says_what_was_tried_and_what_to_do() -> None:
    with pytest.raises(ConnectionLost, match=r"ws://127\.0\.0\.1:1/ws.*tickwire serve --port 1"):
        await connect("ws://127.0.0.1:1")


async def test_of_several_addresses_the_first_that_answers_is_taken() -> None:
    states = States()
    async with scripted(stay) as url, connect(["ws://127.0.0.1:1", url], on_state=states) as client:
        assert client.state == "connected"
    assert states.all[1] == ("connected", f"{url}/ws")


@pytest.mark.parametrize(
    ("status", "code"), [(429, "too_many_connections"), (400, "subprotocol_required"), (403, "forbidden")]
)
async def test_an_http_refusal_is_told_with_its_sentence(status: int, code: str) -> None:
    async with scripted(web.Response(status=status, text="a sentence that says why")) as url:
        with pytest.raises(Refused, match="a sentence that says why") as refused:
            await connect(url)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (404, "404: Not Found", r"no Tickwire broker at the path /ws \(404 Not Found\).* /ws"),
        (200, "# HELP a page", r"/ws is not a Tickwire endpoint \(it answered 200 OK\)"),
        (429, "9 already [too_many_connections]\n", r"^9 already \[too_many_connections\]$"),
    ],
)
async def test_what_answers_and_is_no_broker_is_told_so(status: int, text: str, says: str) -> None:
    async with scripted(web.Response(status=status, text=text)) as url:
        with pytest.raises(Refused, match=says) as refused:
            await connect(url)
    assert "HELP" not in str(refused.value)


async def test_a_name_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(ConnectionLost, match=r"the name nowhere\.invalid is not known; check its spelling") as lost:
        await connect("ws://nowhere.invalid:1")
    assert "ssl:" not in str(lost.value)


async def test_a_broker_without_tls_is_told_of() -> None:
    async with scripted(stay) as url:
        with pytest.raises(ConnectionLost, match="it does not speak TLS; use ws://"):
            await connect(url.replace("ws:", "wss:"))


async def test_the_advice_is_given_once_and_reconnecting_says_the_reason_only() -> None:
    async def cut(peer: Peer) -> None:
        await peer.greet()
        transport = peer.transport
        assert transport is not None
        transport.abort()

    states = States()
    async with scripted(cut) as url:
        client = await connect([url, "ws://127.0.0.1:1"], on_state=states)
        assert await states.reach("reconnecting") == "the connection was lost"
        assert "script has ended" in await states.reach("reconnecting", 2)
        assert await states.reach("reconnecting", 3) == "cannot connect to ws://127.0.0.1:1/ws: connection refused"
        await client.close()


async def test_a_goodbye_before_the_welcome_is_a_refusal() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.hear()
        await peer.say(Bye("version_unsupported", "this broker speaks version 2"))

    async with scripted(refuse) as url:
        with pytest.raises(Refused, match="speaks version 2"):
            await connect(url)


async def test_a_full_broker_is_tried_again_when_reconnecting() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()

    states = States()
    full = web.Response(status=429, text="too many connections", headers={"Retry-After": "0"})
    async with scripted(go, full, stay) as url, connect(url, on_state=states):
        await states.reach("connected", 2)
    assert "too many connections" in states.all[3][1]


async def test_a_refusal_that_would_come_again_ends_the_client() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm()

    states = States()
    async with scripted(go, web.Response(status=403, text="not you")) as url, connect(url, on_state=states) as client:
        subscription = await client.subscribe("a")
        assert "not you" in await states.reach("closed")
        with pytest.raises(Refused, match="not you"):
            await anext(subscription)
        with pytest.raises(ConnectionLost, match="closed"):
            await client.publish("a", 1)


async def test_a_publish_waits_for_the_reconnection() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()

    async def acknowledge(peer: Peer) -> None:
        await peer.greet()
        assert await peer.hear() == Publish(1, [Run("a", [b"\x01"])], 1)
        await peer.say(Ack([[1, 5]]))
        await peer.until_gone()

    states = States()
    async with scripted(go, acknowledge) as url, connect(url, on_state=states) as client:
        await states.reach("reconnecting")
        receipt = await client.publish("a", 1)
    assert (receipt.epoch, receipt.offset) == (EPOCH, 5)


async def test_a_publish_that_found_no_connection_in_time_was_certainly_not_sent() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()

    states = States()
    async with scripted(go) as url, connect(url, on_state=states, timeout=0.2) as client:
        await states.reach("reconnecting")
        with pytest.raises(ConnectionLost, match="certainly not sent"):
            await client.publish("a", 1)
        assert not client._session.outbox.in_flight


async def test_publishes_that_found_no_connection_in_time_do_not_stay_in_memory() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()

    states = States()
    async with scripted(go) as url, connect(url, on_state=states, timeout=0.2) as client:
        await states.reach("reconnecting")
        publishes = [client.publish("a", payload=bytes(1_000)) for _ in range(100)]
        outcomes = await asyncio.gather(*publishes, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ConnectionLost}
        assert not client._session.outbox


async def test_after_a_goodbye_the_next_address_is_tried() -> None:
    async def leave(peer: Peer) -> None:
        await peer.greet()
        await peer.say(Bye("going_away", "the broker is stopping"))

    states = States()
    async with (
        scripted(leave, stay) as first,
        scripted(stay) as second,
        connect([first, second], on_state=states),
    ):
        assert await states.reach("connected", 2) == f"{second}/ws"


async def test_silence_past_the_deadline_is_a_loss() -> None:
    async def be_silent(peer: Peer) -> None:
        await peer.greet(beat_ms=50, deadline_ms=150)
        await peer.until_gone()

    states = States()
    async with scripted(be_silent, stay) as url, connect(url, on_state=states):
        assert "nothing was heard" in await states.reach("reconnecting")
        await states.reach("connected", 2)


async def test_a_slow_application_stops_the_reading_and_not_the_beats() -> None:
    beats: list[int] = []
    enough = asyncio.Event()

    async def flood(peer: Peer) -> None:
        await peer.greet(beat_ms=20, deadline_ms=100)
        await peer.confirm()
        for at in range(4):
            await peer.say(Delivery(0, [Section("a", at * 2, at + 1, 1, [b"\x01", b"\x02"])]))
        while (message := await peer.hear()) is not None:
            if isinstance(message, Beat):
                beats.append(message.time_us)
                if len(beats) == 12:
                    enough.set()
                if len(beats) > 12:
                    await peer.say(Beat(1))

    states = States()
    async with (
        scripted(flood) as url,
        connect(url, on_state=states) as client,
        client.subscribe("a", max_buffered=2) as subscription,
    ):
        # Twice the deadline passes, and the client, who reads nothing, neither goes nor takes the broker for dead.
        await asyncio.wait_for(enough.wait(), 5)
        assert subscription._feed.messages == 2
        offsets = [(await anext(subscription)).offset for _ in range(8)]

    assert offsets == list(range(8))
    assert states.names == ["connecting", "connected", "closed"]


async def test_gaps_are_handed_out_in_their_places_where_that_is_wanted() -> None:
    async def jump(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm()
        await peer.say(Delivery(0, [Section("a", 0, 1, 1, [b"\x01"]), Section("a", 3, 2, 1, [b"\x02"])]))
        await peer.until_gone()

    async with scripted(jump) as url, connect(url) as client, client.subscribe("a", gaps=True) as subscription:
        items = await anext(subscription.batches())
    assert [item.offset if not isinstance(item, Gap) else (item.start, item.end) for item in items] == [0, (1, 3), 3]


async def test_a_gap_nobody_asked_about_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def jump(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm()
        await peer.say(Delivery(0, [Section("a", at * 3, at + 1, 1, [b"\x01"]) for at in range(3)]))
        await peer.until_gone()

    async with scripted(jump) as url, connect(url) as client, client.subscribe("a") as subscription:
        for _ in range(3):
            await anext(subscription)
    assert [record.levelname for record in caplog.records if "missing" in record.message] == ["WARNING"]


async def test_a_refused_publish_nowait_is_logged_and_told() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        await peer.say(Refusal(Publish.kind, None, "too_many_topics", "the broker holds 5 topics"))
        await peer.until_gone()

    told: asyncio.Queue[Refused] = asyncio.Queue()
    async with scripted(refuse) as url, connect(url, on_refused=told.put_nowait) as client:
        client.publish_nowait("a", 1)
        assert (await asyncio.wait_for(told.get(), 5)).code == "too_many_topics"


async def test_a_frame_that_breaks_the_protocol_ends_the_connection_and_not_the_client() -> None:
    async def babble(peer: Peer) -> None:
        await peer.greet()
        await peer.ws.send_bytes(b"\xc1")
        await peer.until_gone()

    states = States()
    async with scripted(babble, stay) as url, connect(url, on_state=states):
        assert "broke the protocol" in await states.reach("reconnecting")
        await states.reach("connected", 2)


async def test_without_reconnect_a_loss_ends_everything() -> None:
    async def go(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm()
        await peer.hear()

    async with scripted(go) as url, connect(url, reconnect=False) as client:
        subscription = await client.subscribe("a")
        client.publish_nowait("a", 1)
        with pytest.raises(ConnectionLost):
            await anext(subscription)
        assert client.state == "closed"


async def test_closing_sends_what_is_buffered_and_says_goodbye() -> None:
    heard: list[object] = []

    async def listen(peer: Peer) -> None:
        await peer.greet()
        while (message := await peer.hear()) is not None:
            heard.append(message)
            if isinstance(message, Publish) and message.id is not None:
                await peer.say(Ack([[message.id]]))

    async with scripted(listen) as url, connect(url) as client:
        client.publish_nowait("a", 1)

    assert heard[0] == Publish(None, [Run("a", [b"\x01"])])
    assert isinstance(heard[-1], Bye)


async def test_connect_and_subscribe_that_nobody_awaits_warn() -> None:
    opening = connect("ws://127.0.0.1:1")
    with pytest.warns(RuntimeWarning, match=r"connect\(\) was never awaited"):
        del opening
