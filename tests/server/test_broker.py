"""The broker as a user meets it: served, mounted, watched, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal

import aiohttp
import pytest
from aiohttp import web

from house.client import Client, connected
from house.link import frames_of
from house.process import broker_process
from house.raw import Raw, dialled, upgraded
from tickwire.server import Broker, Settings
from tickwire.server.connections import listener
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.limits import SUBPROTOCOL
from tickwire.wire.messages import (
    Ack,
    Beat,
    Bye,
    Delivery,
    Gap,
    Hello,
    Mark,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Welcome,
)

KIB, MIB = 1 << 10, 1 << 20


async def eventually(condition: object, timeout: float = 10.0) -> None:
    """Wait until a condition that nobody announces is true."""
    assert callable(condition)
    deadline = asyncio.get_running_loop().time() + timeout
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never became true"
        await asyncio.sleep(0.01)


async def round_trip(client: Client, topic: str = "a") -> None:
    await client.send(Publish(1, [Run(topic, [b"x"])]))
    assert (await client.expect(Ack)).receipts[0][0] == 1


async def test_a_broker_can_be_mounted_in_somebody_elses_application(unused_tcp_port: int) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="my own page")

    app = web.Application()
    app.router.add_get("/", page)
    Broker(Settings()).mount(app, path="/push")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        async with connected(f"ws://127.0.0.1:{unused_tcp_port}/push") as client:
            await round_trip(client)
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{unused_tcp_port}/") as page_:
                assert await page_.text() == "my own page"
    finally:
        await runner.cleanup()


async def test_the_welcome_says_what_the_settings_are() -> None:
    settings = Settings(payload_bytes=1000, subscriptions=7, beat_every=2.0, give_up_after=5.0)
    async with Broker(settings).serving(port=0) as url, connected(url, greet=False) as client:
        await client.send(Hello())
        welcome = await client.expect(Welcome)

    found = {name: welcome.limits[name] for name in ("payload_bytes", "subscriptions", "beat_ms", "deadline_ms")}
    assert found == {"payload_bytes": 1000, "subscriptions": 7, "beat_ms": 2000, "deadline_ms": 5000}


async def test_health_and_metrics_tell_how_it_is() -> None:
    async with Broker(Settings()).serving(port=0) as url, connected(url) as client, aiohttp.ClientSession() as session:
        base = url.replace("ws:", "http:").removesuffix("/ws")
        await client.send(Subscribe(1, "secret.topic.*"))
        await round_trip(client, "secret.topic.name")
        async with session.get(base + "/health") as health:
            facts = await health.json()
        async with session.get(base + "/metrics") as metrics:
            text = await metrics.text()

    assert (health.status, facts["status"], facts["connections"]) == (200, "ok", 1)
    assert "Server" not in health.headers
    for line in ("tickwire_messages_in_total 1.0", "tickwire_deliveries_total 1.0", "tickwire_connections 1.0"):
        assert line in text
    assert "secret" not in text


async def test_a_hello_that_does_not_come_in_time_ends_the_connection() -> None:
    async with (
        Broker(Settings(hello_timeout=0.2)).serving(port=0) as url,
        connected(url, greet=False) as silent,
        connected(url) as other,
    ):
        assert (await silent.expect(Bye)).code == "hello_timeout"
        assert await silent.closed() == 1002
        await round_trip(other)


@pytest.mark.parametrize("said", [b"", b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgr"])
async def test_a_handshake_that_does_not_end_is_cut_off(said: bytes) -> None:
    async with Broker(Settings(handshake_timeout=0.2)).serving(port=0) as url, dialled(url) as raw:
        raw.writer.write(said)

        # aiohttp itself would end it too, after ten seconds or more.
        assert await asyncio.wait_for(raw.rest(), 5) == b""


async def test_who_is_silent_is_given_up_and_who_answers_pings_is_not() -> None:
    settings = Settings(beat_every=0.1, give_up_after=0.5)
    async with Broker(settings).serving(port=0) as url, upgraded(url) as dead, connected(url) as alive:
        dead.send_message(encode(Hello()))
        answering = asyncio.create_task(alive.expect(Ack))  # reading is what answers pings
        (*frames, bye), code = await dead.last_words()

        assert isinstance(bye, Bye)
        assert (bye.code, code) == ("heartbeat_timeout", 1001)
        assert any(isinstance(frame, Beat) for frame in frames)
        await alive.send(Publish(1, []))
        assert (await answering).receipts == [[1]]


async def test_each_beat_says_up_to_where_a_reader_has_everything() -> None:
    settings = Settings(beat_every=0.1, give_up_after=5.0)
    broker = Broker(settings)
    async with broker.serving(port=0) as url, connected(url) as client:
        await client.send(Publish(1, [Run("a", [b"x"])]))
        await client.expect(Ack)
        await client.expect(Beat)

        assert (await client.receive()) == Mark(broker.engine.stamp) == Mark(1)


async def test_readers_that_reset_while_they_are_written_to_cost_the_others_nothing() -> None:
    """On uvloop, which raises where one writes to a transport that has just gone."""
    async with broker_process() as broker, connected(broker.url) as mine, connected(broker.url) as writer:
        await mine.send(Subscribe(1, "a"))
        await mine.expect(Subscribed)
        async with contextlib.AsyncExitStack() as stack:
            raws = [await stack.enter_async_context(upgraded(broker.url)) for _ in range(100)]
            for raw in raws:
                raw.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
                await raw.reader.readexactly(2)
            for number, raw in enumerate(raws):
                raw.writer.transport.abort()
                await writer.send(Publish(number, [Run("a", [b"%d" % number])]))

            expected = 0
            while expected < len(raws):
                for section in (await mine.expect(Delivery)).sections:
                    assert section.first == expected
                    expected += len(section.payloads)
            acked = 0
            while acked < len(raws):
                acked += len((await writer.expect(Ack)).receipts)


async def test_nothing_follows_a_close() -> None:
    async with Broker(Settings()).serving(port=0) as url, upgraded(url) as raw, connected(url) as writer:
        raw.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
        raw.send_message(b"\xc1")
        *_, code = await raw.last_words()
        assert code == 1007
        await round_trip(writer, "a")
        raw.writer.write_eof()

        assert await raw.rest() == b""


async def test_who_asks_over_http_and_reads_no_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_ASKING", 0.3)
    async with Broker(Settings(handshake_timeout=0.2)).serving(port=0) as url, dialled(url) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                raw.writer.write(request)
                await asyncio.wait_for(raw.writer.drain(), 10)
                if raw.writer.is_closing():
                    break
        assert raw.writer.is_closing()


async def test_a_slow_reader_that_still_takes_bytes_is_not_given_up() -> None:
    settings = Settings(beat_every=0.1, give_up_after=0.6, unsent_bytes=4 * KIB, retain_bytes=64 * MIB)
    broker = Broker(settings)
    async with broker.serving(port=0) as url, upgraded(url) as slow, connected(url) as writer:
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
        reading = asyncio.create_task(answer_pings(writer))
        for number in range(60):
            await writer.send(Publish(number, [Run("a", [bytes(200_000)])]))
        await eventually(lambda: broker.engine.stats.fell_behind == 1)
        reading_slowly = asyncio.get_running_loop().time() + 1.5
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while asyncio.get_running_loop().time() < reading_slowly:
            assert await asyncio.wait_for(slow.reader.read(20_000), 5)
            await asyncio.sleep(0.02)

        assert len(broker.engine.catch_up.behind) == 1
        reading.cancel()


async def test_who_takes_next_to_nothing_is_closed_though_it_sends_signs_of_life(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tickwire")
    broker = Broker(Settings(beat_every=0.1, give_up_after=0.6, unsent_bytes=4 * KIB, slowest_bytes=100_000))
    async with broker.serving(port=0) as url, upgraded(url) as slow, connected(url) as writer:
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
        reading, taking = asyncio.create_task(answer_pings(writer)), asyncio.create_task(take_a_little(slow))
        for number in range(60):
            await writer.send(Publish(number, [Run("a", [bytes(200_000)])]))
        await eventually(lambda: broker.engine.stats.fell_behind == 1)
        await eventually(lambda: len(broker._connections) == 1)
        reading.cancel()
        taking.cancel()

    (goodbye,) = (record.facts for record in caplog.records if record.message == "goodbye")  # type: ignore[attr-defined]
    assert goodbye["code"] == "too_slow"
    assert goodbye["text"] == "what waits for it was taken at less than 100000 bytes a second for 0.6 s"


async def take_a_little(raw: Raw) -> None:
    """Some kilobytes a second, and many signs of life."""
    sock = raw.writer.transport.get_extra_info("socket")
    while sock.fileno() >= 0:  # until the broker has cut it off
        raw.send_message(encode(Beat(0)))
        with contextlib.suppress(BlockingIOError, ConnectionError):
            os.read(sock.fileno(), 500)
        await asyncio.sleep(0.02)


async def answer_pings(client: Client) -> None:
    while True:
        await client.receive()


async def leave_by_close(raw: Raw) -> None:
    raw.send_message(b"\x03\xe8", opcode=8)
    await raw.rest()


async def leave_by_reset(raw: Raw) -> None:
    raw.writer.transport.abort()


async def leave_by_end_of_file(raw: Raw) -> None:
    raw.writer.write_eof()


async def leave_in_the_middle_of_a_frame(raw: Raw) -> None:
    raw.writer.write(b"\x82\xfe\x10")
    raw.writer.write_eof()


async def leave_by_breaking_the_protocol(raw: Raw) -> None:
    raw.writer.write(b"\xf2\x80")
    await raw.rest()


async def leave_by_bad_frame(raw: Raw) -> None:
    raw.send_message(b"\xc1")
    await raw.last_words()
    raw.writer.close()


async def leave_before_the_hello(raw: Raw) -> None:
    raw.writer.close()


WAYS = [
    leave_by_close,
    leave_by_reset,
    leave_by_end_of_file,
    leave_in_the_middle_of_a_frame,
    leave_by_breaking_the_protocol,
    leave_by_bad_frame,
    leave_before_the_hello,
]


@pytest.mark.parametrize("leave", WAYS)
async def test_the_cap_is_exact_whichever_way_a_peer_leaves(leave: object) -> None:
    assert callable(leave)
    async with Broker(Settings(connections_per_ip=2)).serving(port=0) as url, connected(url) as stays:
        for _ in range(5):
            async with upgraded(url) as raw:
                if leave is not leave_before_the_hello:
                    raw.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
                await leave(raw)
                await eventually_admitted(url)
        async with connected(url), aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await session.ws_connect(url, protocols=(SUBPROTOCOL,))
        await round_trip(stays)


async def eventually_admitted(url: str) -> None:
    for _ in range(500):
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            async with connected(url):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the one that left is still counted")


async def test_a_publisher_is_slowed_down_and_nothing_of_it_is_lost() -> None:
    settings = Settings(pending_peer_bytes=32 * KIB, pending_bytes=64 * KIB)
    async with Broker(settings).serving(port=0) as url, connected(url) as writer, connected(url) as reader:
        await reader.send(Subscribe(1, "a"))
        await reader.expect(Subscribed)

        async def publish() -> None:
            for number in range(300):
                await writer.send(Publish(number, [Run("a", [bytes(30_000)])]))

        publishing = asyncio.create_task(publish())
        expected = 0
        while expected < 300:
            for section in (await reader.expect(Delivery)).sections:
                assert section.first == expected
                expected += len(section.payloads)
        await publishing


async def test_a_reader_that_stops_is_told_exactly_what_it_missed_and_goes_on_live() -> None:
    settings = Settings(retain_bytes=1 * MIB)
    async with Broker(settings).serving(port=0) as url, connected(url) as writer, upgraded(url) as slow:
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.send_message(encode(Hello(subscriptions=[Subscribe(1, "a")])))
        count = 300
        for number in range(count):
            await writer.send(Publish(number, [Run("a", [number.to_bytes(4, "big") + bytes(100_000)])]))
            await writer.expect(Ack)
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]

        expected, gaps, level = 0, [], False
        while not level:
            for body in frames_of(await slow.next_message()):
                frame = decode_from_broker(body)
                if isinstance(frame, Gap):
                    assert (frame.start, frame.reason) == (expected, "evicted")
                    gaps.append(frame)
                    expected = frame.end
                elif isinstance(frame, Delivery):
                    for section in frame.sections:
                        assert section.first == expected
                        for offset, payload in enumerate(section.payloads, section.first):
                            assert int.from_bytes(payload[:4], "big") == offset
                        expected += len(section.payloads)
                level = level or isinstance(frame, Mark)
        assert expected == count
        assert len(gaps) == 1


async def test_a_peer_that_never_takes_its_replies_is_not_read_and_then_closed() -> None:
    settings = Settings(unsent_bytes=32 * KIB, reply_bytes=4 * KIB, reply_timeout=0.5)
    broker = Broker(settings)
    async with broker.serving(port=0) as url, upgraded(url) as greedy, connected(url) as other:
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        greedy.send_message(encode(Hello()))
        wrong = encode(Subscribe(1, "x" * 60 + "..")) * 1

        async def ask() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    for _ in range(100):
                        greedy.send_message(wrong)
                    await greedy.writer.drain()

        asking = asyncio.create_task(ask())
        await eventually(lambda: broker.engine.stats.fell_behind == 1)
        await round_trip(other)
        await eventually(lambda: len(broker._connections) == 1)
        asking.cancel()
        await round_trip(other)


async def test_sigterm_says_goodbye_with_a_time_to_come_back_and_ends_with_0() -> None:
    async with broker_process("--retry-after", "2s") as broker, connected(broker.url) as client:
        await client.send(Subscribe(1, "a"))
        await client.send(Publish(1, [Run("a", [b"last"])]))
        broker.process.send_signal(signal.SIGTERM)

        seen = [type(await client.receive()) for _ in range(3)]
        bye = await client.expect(Bye)

        assert seen == [Subscribed, Ack, Delivery] or Bye in seen
        assert (bye.code, bye.retry_after_ms) == ("going_away", 2000)
        assert await client.closed() == 1001
        assert await asyncio.wait_for(broker.process.wait(), 10) == 0


async def test_a_peer_that_does_not_answer_the_goodbye_does_not_keep_the_broker_from_ending() -> None:
    async with broker_process("--drain-timeout", "500ms") as broker, upgraded(broker.url) as raw:
        raw.send_message(encode(Hello()))
        await raw.reader.readexactly(2)
        broker.process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(broker.process.wait(), 10) == 0


async def test_frames_that_follow_the_hello_without_waiting_act_in_their_order() -> None:
    async with Broker(Settings()).serving(port=0) as url, connected(url, greet=False) as client:
        await client.send(Hello(subscriptions=[Subscribe(1, "a.*")]))
        await client.send(Publish(2, [Run("a.b", [b"1"])]))
        await client.send(Subscribe(3, "a..b"))

        kinds = [type(await client.receive()) for _ in range(5)]

    assert kinds == [Welcome, Subscribed, Refusal, Ack, Delivery]


async def test_logs_are_one_line_an_event_whatever_a_client_sends() -> None:
    import io
    import logging

    from tickwire.server import logs

    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("debug", "text", stream)
    try:
        async with Broker(Settings()).serving(port=0) as url, connected(url) as client:
            await client.send(b"\x93\x06\xa3a\nb\xa3c\nd")
            await client.send(b"\xc1\n\n\n")
            await client.closed()
    finally:
        root.handlers[:], root.level = before
    lines = [line for line in stream.getvalue().splitlines() if "goodbye" in line]
    assert len(lines) == 1
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z INFO  goodbye peer=\d+ .*code=bad_frame", lines[0])
