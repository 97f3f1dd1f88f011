"""The load tool must see what a broker does wrong: its figures are worth nothing otherwise."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgpack
import pytest

from tickwire.server import Broker, Settings

SOURCES = Path(__file__).parents[2] / "bench" / "tickwire_bench" / "c"

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc builds the load tool")


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    output: str
    errors: str


Load = Callable[..., "asyncio.Task[Ended]"]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "load"
    sources = [SOURCES / "load.c", *(SOURCES / "load").rglob("*.c")]
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *strict, "-DTLS", "-o", path, *sources, "-lz", "-lssl", "-lcrypto"], check=True, timeout=60)
    return path


@pytest.fixture
def load(binary: Path) -> Load:
    async def run(*options: object) -> Ended:
        process = await asyncio.create_subprocess_exec(binary, *map(str, options), stdout=PIPE, stderr=PIPE)
        output, errors = await asyncio.wait_for(process.communicate(), 30)
        return Ended(process.returncode or 0, output.decode(), errors.decode())

    return lambda *options: asyncio.ensure_future(run(*options))


# What a broker says to a reader of bench.0, written by hand: a WebSocket header, then the frame.
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
WELCOME = "82 07 96 10 01 05 00 80 80"
SUBSCRIBED = "82 06 95 11 01 00 00 00"
FIRST = "82 14 93 15 00 91 95 a7 62 65 6e 63 68 2e 30 00 01 09 91 c4 01 68"
SECOND = FIRST.replace("30 00 01 09", "30 01 02 09")
THIRD = FIRST.replace("30 00 01 09", "30 02 03 09")


WAITING = "load: readers waiting for messages: 1\n"


async def test_messages_of_a_broker_arrive_whole_and_are_counted(load: Load) -> None:
    async with Broker(Settings()).serving(port=0) as url:
        ended = await load(*at(port_of(url)), "--readers", 3, "--batch", 4, "--topics", 3, "--in-flight", 64, "--json")

    figures = json.loads(ended.output)
    assert (ended.code, ended.errors) == (0, "")
    assert figures["deliveries"] > 100
    assert figures["latency_us"]["p50"] <= figures["latency_us"]["p99"] <= figures["latency_us"]["max"]


async def test_acknowledgments_can_be_the_window(load: Load) -> None:
    async with Broker(Settings()).serving(port=0) as url:
        ended = await load(*at(port_of(url)), "--readers", 0, "--publishers", 2, "--window", "ack", "--json")

    assert (ended.code, ended.errors) == (0, "")
    assert json.loads(ended.output)["published"] > 100


async def test_readers_of_some_of_the_topics_have_all_of_those_and_nothing_else(load: Load) -> None:
    async with Broker(Settings()).serving(port=0) as url:
        some = ["--readers", 20, "--topics", 50, "--each", 5, "--in-flight", 32, "--json"]
        ended = await load(*at(port_of(url)), *some)

    figures = json.loads(ended.output)
    assert (ended.code, ended.errors) == (0, "")
    assert 0 < figures["deliveries"] < 20 * figures["published"]


async def test_compressed_messages_are_counted_as_they_came(load: Load, tmp_path: Path) -> None:
    text = tmp_path / "prices"
    text.write_text("".join(f"AAPL,{number},{number / 7:.2f}\n" for number in range(2_000)))
    sizes = {}
    async with Broker(Settings()).serving(port=0) as url:
        for options in ((), ("--deflate",)):
            filled = ["--readers", 4, "--batch", 64, "--filling", text, "--json", *options]
            ended = await load(*at(port_of(url)), *filled)
            assert (ended.code, ended.errors) == (0, "")
            figures = json.loads(ended.output)
            sizes[options] = figures["bytes_in"] / figures["deliveries"]

    assert sizes["--deflate",] < 0.6 * sizes[()]


async def test_a_server_that_does_not_compress_is_no_case_of_compression(load: Load) -> None:
    async with saying(WELCOME, SUBSCRIBED) as port:
        ended = await load(*at(port), "--readers", 1, "--publishers", 0, "--deflate")

    assert (ended.code, ended.output) == (1, "")
    assert "did not agree to permessage-deflate" in ended.errors


async def test_messages_come_through_tls(load: Load) -> None:
    async with behind_tls() as port:
        ended = await load(*at(port), "--tls", "--readers", 3, "--batch", 4, "--payload", 20_000, "--json")

    assert (ended.code, ended.errors) == (0, "")
    assert json.loads(ended.output)["deliveries"] > 100


async def test_a_server_without_tls_is_no_case_of_tls(load: Load) -> None:
    async with Broker(Settings()).serving(port=0) as url:
        ended = await load(*at(port_of(url)), "--tls")

    assert (ended.code, ended.output) == (1, "")
    assert re.search(r"TLS of reader \d+, in the handshake", ended.errors)  # whichever is answered first


async def test_a_storm_is_over_when_the_last_is_back(load: Load) -> None:
    async with Broker(Settings(connections_per_ip=1_000)).serving(port=0) as url:
        ended = await load(*at(port_of(url)), "--storm", 200, "--json")

    figures = json.loads(ended.output)
    assert (ended.code, ended.errors, figures["connections"]) == (0, "", 200)
    assert figures["back_s"] > 0


async def test_a_reader_that_stopped_is_told_what_it_missed(load: Load) -> None:
    async with Broker(Settings(retain_bytes=100_000)).serving(port=0) as url:
        stalled = ["--slow", 1, "--total-bytes", 30_000_000, "--payload", 1_000, "--batch", 16]
        ended = await load(*at(port_of(url)), "--readers", 2, *stalled, "--json")

    figures = json.loads(ended.output)
    assert ended.code == 0
    assert figures["gaps"] >= 1
    assert 0 < figures["announced_lost"] <= figures["stalled"]["published"] + figures["published"]


async def test_messages_cut_anywhere_are_put_together(load: Load) -> None:
    async with saying(WELCOME, SUBSCRIBED, FIRST, SECOND, THIRD, piece=1) as port:
        ended = await load(*at(port), "--readers", 1, "--publishers", 0, "--expect", 3)

    assert (ended.code, ended.errors) == (0, WAITING)


@pytest.mark.parametrize("publishers", [1, 3])
async def test_messages_of_each_publisher_are_numbered_without_a_hole(load: Load, publishers: int) -> None:
    async with Broker(Settings()).serving(port=0) as url:
        several = ["--readers", 3, "--publishers", publishers, "--topics", 2, "--in-flight", 64, "--json"]
        ended = await load(*at(port_of(url)), *several)

    assert (ended.code, ended.errors) == (0, "")
    assert json.loads(ended.output)["deliveries"] > 100


@pytest.mark.parametrize(
    ("numbers", "publishers", "sentence"),
    [
        ([0, 2], 1, "bench.0 has message 2 of publisher 0 at offset 1, expected 1"),
        ([0, 0], 1, "bench.0 has message 0 of publisher 0 at offset 1, expected 1"),
        ([1], 1, "bench.0 has message 1 of publisher 0 at offset 0, expected 0"),
        ([0, 2 << 40, 2], 3, "bench.0 has message 2 of publisher 0 at offset 2, expected 1"),
        ([0, 2 << 40, 2 << 40], 3, "bench.0 has message 0 of publisher 2 at offset 2, expected 1"),
        ([0, 2 << 40 | 1], 3, "bench.0 has message 1 of publisher 2 at offset 1, expected 0"),
        ([3 << 40], 3, "a message of an unknown publisher"),
    ],
)
async def test_a_message_with_another_number_than_was_published_ends_the_run(
    load: Load, numbers: list[int], publishers: int, sentence: str
) -> None:
    """As a broker would deliver that mixed up the payloads, at offsets that are right."""
    said = [delivery(offset, numbered(number)) for offset, number in enumerate(numbers)]
    async with saying(WELCOME, SUBSCRIBED, *said) as port:
        ended = await load(*at(port), "--readers", 1, "--publishers", publishers, "--rate", 1)

    assert (ended.code, ended.output) == (1, "")
    assert sentence in ended.errors


async def test_a_topic_that_is_none_ends_the_run(load: Load) -> None:
    async with saying(WELCOME, SUBSCRIBED, FIRST.replace("2e 30 00", "2e 3a 00")) as port:
        ended = await load(*at(port), "--readers", 1, "--publishers", 0, "--topics", 20)

    assert (ended.code, ended.output) == (1, "")
    assert "a message of an unknown topic: bench.:" in ended.errors


async def test_a_ping_is_answered_with_what_it_said(load: Load) -> None:
    heard = bytearray()

    async with saying(WELCOME, SUBSCRIBED, "89 02 68 69", FIRST, heard=heard) as port:
        await load(*at(port), "--readers", 1, "--publishers", 0, "--expect", 1)

    assert bytes.fromhex("8a 82 00 00 00 00 68 69") in heard


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([FIRST, THIRD], "reader 0: bench.0 goes on at offset 2, expected 1"),
        ([FIRST, FIRST], "reader 0: bench.0 goes on at offset 0, expected 1"),
        ([SECOND], "reader 0: bench.0 goes on at offset 1, expected 0"),
        (["82 15 96 16 00 a7 62 65 6e 63 68 2e 30 00 07 a7 65 76 69 63 74 65 64"], "reader 0 lost 7 messages"),
        (["82 0a 96 14 02 01 a3 66 6f 6f a1 78"], "the broker refused a request: foo: x"),
        (["82 08 93 06 a3 66 6f 6f a1 78"], "the broker said goodbye: foo: x"),
        (["88 06 03 f0 73 6c 6f 77"], "the server closed the connection of reader 0: 1008 slow"),
        (["82 03 93 15 00"], "a frame of the server's is cut short"),
    ],
)
async def test_what_a_broker_does_wrong_ends_the_run_without_figures(
    load: Load, words: list[str], sentence: str
) -> None:
    async with saying(WELCOME, SUBSCRIBED, *words) as port:
        ended = await load(*at(port), "--readers", 1, "--publishers", 0, "--expect", 100, "--json")

    assert (ended.code, ended.output) == (1, "")
    assert sentence in ended.errors


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mode", "kafka"], "--mode kafka: is none of the dialects"),
        (["--mode", "raw", "--acks"], "this server has no acknowledgments"),
        (["--mode", "redis", "--deflate"], "--deflate is for what is spoken over a WebSocket"),
        (["--mode", "nats", "--readers", 2, "--slow", 1, "--total-bytes", 9], "no other server announces gaps"),
        (["--evenly"], "--evenly goes with --each"),
        (["--each", 3], "--each must be less than --topics"),
        (["--filling", "/nowhere"], "--filling names no file that can be read"),
    ],
)
async def test_options_that_make_no_sense_are_refused_with_a_sentence(
    load: Load, options: list[object], sentence: str
) -> None:
    async with saying(WELCOME, SUBSCRIBED) as port:
        ended = await load(*at(port), *options)

    assert (ended.code, ended.output) == (2, "")
    assert sentence in ended.errors


async def test_a_host_that_is_not_this_machine_is_refused(load: Load) -> None:
    ended = await load("--host", "192.0.2.1")

    assert ended.code == 2
    assert "never puts load on a network" in ended.errors


def numbered(number: int) -> bytes:
    """A payload of 64 bytes as the load tool publishes it, stamped long ago."""
    packed: bytes = b"\x83\xa1t\xcf" + bytes(8) + b"\xa1n\xcf" + number.to_bytes(8) + b"\xa1x\xc5\0\x24" + bytes(36)
    return packed


def delivery(offset: int, payload: bytes) -> str:
    """A frame of one section with that message of bench.0."""
    packed: bytes = msgpack.packb([21, 0, [["bench.0", offset, offset + 1, 9, [payload]]]])
    return (bytes((0x82, len(packed))) + packed).hex()


def at(port: int) -> list[object]:
    return ["--port", port, "--duration", 0.3, "--warmup", 0]


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


@asynccontextmanager
async def behind_tls() -> AsyncIterator[int]:
    """The bench's own server with a certificate."""
    command = (sys.executable, "-m", "tickwire_bench.tls_server")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert process.stdout is not None
        yield port_of((await asyncio.wait_for(process.stdout.readline(), 20)).decode())
    finally:
        process.terminate()
        assert await process.wait() == 0


@asynccontextmanager
async def saying(*words: str, piece: int = 1 << 16, heard: bytearray | None = None) -> AsyncIterator[int]:
    """A server that upgrades whoever comes, and says those bytes whatever it is asked; all of it closed at the end."""
    serving: set[asyncio.Task[None]] = set()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UPGRADED)
        data = bytes.fromhex("".join(words))
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
            await asyncio.sleep(0)
        said = await reader.read()
        if heard is not None:
            heard.extend(said)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
        await asyncio.gather(*serving)
