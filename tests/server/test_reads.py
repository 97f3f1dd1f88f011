"""Frames come off a read by the C library or by the reader in Python: whatever comes, however cut, is the same."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickwire import intake as module
from tickwire.intake import FRAMES_OF_A_READ, Intake, Turn, intake_for
from tickwire.native import native

LIMIT = 70_000
MASK = b"\x11\x22\x33\x44"


class Protocol:
    """What the queue asks of aiohttp's."""

    _reading_paused = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._reading_paused = False


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def frame(payload: bytes, first: int = 0x82, masked: bool = True, length: int = 0) -> bytes:
    """A frame; `length` is the bytes in which its length is said, where that is not the shortest."""
    size = len(payload)
    length = length or (1 if size < 126 else 3 if size < 1 << 16 else 9)
    said = bytes([size]) if length == 1 else (b"\x7e" + size.to_bytes(2) if length == 3 else b"\x7f" + size.to_bytes(8))
    said = bytes([said[0] | (0x80 if masked else 0)]) + said[1:]
    if not masked:
        return bytes([first]) + said + payload
    return bytes([first]) + said + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def made(
    loop: asyncio.AbstractEventLoop, compress: bool = False, masked: bool = True, turn: Turn | None = None
) -> tuple[Intake, Any]:
    """An intake and what feeds it, as a connection has them."""
    protocol = Protocol(loop)
    queue = WebSocketDataQueue(protocol, 1 << 20, loop=loop)
    both = intake_for(queue, protocol, LIMIT - 1, turn or Turn(), compress=compress, masked=masked)
    assert both is not None
    return both


def outcome(loop: asyncio.AbstractEventLoop, reads: list[bytes], masked: bool) -> tuple[list[Any], Any]:
    """What comes of the reads, in order: frames that are taken at once and messages that wait; and how it ended."""

    async def run() -> tuple[list[Any], Any]:
        intake, parser = made(loop, compress=True, masked=masked)
        came: list[Any] = []
        intake.take = came.extend
        intake.receiving()
        for read in reads:
            parser.feed_data(read)
            while intake._buffer:
                message = await intake.read()
                came.append((message.type, message.data))
            await asyncio.sleep(0)
            intake.receiving()
        error = intake.exception()
        return came, error and (type(error), getattr(error, "code", None))

    return loop.run_until_complete(run())


sizes = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 127, 1_000, 65_535, 65_536, LIMIT - 1, LIMIT, LIMIT + 1])
payloads = st.builds(
    lambda size, byte: bytes([byte, 255 - byte]) * (size // 2) + b"!" * (size % 2), sizes, st.integers(0, 255)
)
short = st.binary(max_size=125)
usual = st.builds(frame, payloads)
frames = st.one_of(
    usual,
    usual,
    usual,
    st.builds(frame, short, st.sampled_from([0x89, 0x8A])),
    st.builds(frame, st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03"]), st.just(0x88)),
    st.builds(frame, st.sampled_from([b"text", bytes([0xFF])]), st.just(0x81)),
    st.builds(frame, short, st.sampled_from([0x02, 0x00, 0x80, 0x01, 0xC2, 0x92, 0x83, 0x09])),
    st.builds(frame, short, masked=st.just(False)),
    st.builds(frame, short, length=st.sampled_from([3, 9])),
    st.just(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    st.binary(min_size=1, max_size=8),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(frames, max_size=8),
    st.lists(st.integers(1, 70_000) | st.integers(1, 20), min_size=1, max_size=30),
    st.booleans(),
)
@example(
    [frame(b"a"), frame(b"", 0x89), frame(bytes(60_000)), frame(b"", 0x02), frame(b"b", 0x80), frame(b"c")], [3], True
)
@example([frame(bytes(1_000))], [1], True)
@example([frame(b"a" * 130, masked=False), frame(b"p", 0x89, masked=False), frame(b"b", masked=False)], [5], False)
def test_both_ways_come_to_the_same(
    loop: asyncio.AbstractEventLoop, sent: list[bytes], cuts: list[int], masked: bool
) -> None:
    stream, reads, at = b"".join(sent), [], 0
    while at < len(stream):
        size = cuts[len(reads) % len(cuts)]
        if len(reads) > 2_000:
            size = len(stream)
        reads.append(stream[at : at + size])
        at += size

    by_library = outcome(loop, reads, masked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "native", None)
        by_reader = outcome(loop, reads, masked)

    assert by_library == by_reader


def taking(intake: Intake) -> list[bytes]:
    """What is taken at once, from now on."""
    came: list[bytes] = []
    intake.take = came.extend
    intake.receiving()
    return came


def test_whatever_stands_between_does_not_end_what_the_library_takes(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert native is not None
    intake, parser = made(loop)
    read: list[int] = []
    reader = parser._reader.read
    monkeypatch.setattr(type(parser._reader), "read", lambda self, data, at: (read.append(at), reader(data, at))[1])
    came = taking(intake)

    parser.feed_data(frame(b"one") + frame(b"ping", 0x89) + frame(b"two" * 500)[:20])
    parser.feed_data(frame(b"two" * 500)[20:])
    assert came == [b"one"]
    assert [message.data for message, _ in intake._buffer] == [b"ping", b"two" * 500]
    loop.run_until_complete(intake.read())
    loop.run_until_complete(intake.read())
    intake.receiving()
    parser.feed_data(frame(b"three") * 3)

    assert came == [b"one", b"three", b"three", b"three"]
    assert len(read) == 1


def test_who_fills_the_queue_is_read_no_further_and_in_order_once_there_is_room(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """What was laid aside is not put behind for each message that leaves."""
    intake, parser = made(loop)
    flood = b"".join(frame(b"%d" % number, 0x8A) for number in range(40_000))
    came, rounds = [], 0

    async def run() -> None:
        nonlocal rounds
        parser.feed_data(flood)
        parser.feed_data(frame(b"last"))
        await turns(lambda: intake.full)
        assert parser._reading_paused
        assert len(intake._buffer) < 20_000
        while not came or came[-1] != b"last":
            before = len(intake._buffer)
            came.append((await intake.read()).data)
            rounds += len(intake._buffer) > before

    loop.run_until_complete(run())

    assert came == [b"%d" % number for number in range(40_000)] + [b"last"]
    assert not parser._reading_paused
    assert rounds < 100


async def turns(until: Callable[[], bool]) -> int:
    """How many turns of the loop it takes."""
    for count in range(10_000):
        if until():
            return count
        await asyncio.sleep(0)
    raise AssertionError("it never comes")


def test_one_that_sends_too_many_frames_has_them_looked_at_in_many_turns_and_others_theirs_between(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def run() -> None:
        turn = Turn()
        (flooded, flooding), (others, other) = made(loop, turn=turn), made(loop, turn=turn)
        came = taking(others)
        flooding.feed_data(frame(b"", 0x89) * 40_000 + frame(b"last", 0x89))
        assert flooding._reading_paused

        def done() -> bool:
            other.feed_data(frame(b"", 0x8A) + frame(b"one", 0x02) + frame(b"", 0x80))
            return bool(flooded._buffer) and flooded._buffer[-1][0].data == b"last"

        count = await turns(done)
        assert count > 5
        assert len(came) + len(others._buffer) >= count  # each turn its own

    loop.run_until_complete(run())


def test_of_many_pings_that_wait_the_last_stands_for_all(loop: asyncio.AbstractEventLoop) -> None:
    intake, parser = made(loop)
    flood = b"".join(frame(b"%d" % number, 0x89) for number in range(40_000))

    async def run() -> None:
        parser.feed_data(flood + frame(b"a") + frame(b"p", 0x89))
        await turns(lambda: intake._buffer[-1][0].data == b"p")

    loop.run_until_complete(run())

    waits = [message.data for message, _ in intake._buffer]
    assert waits[:16] == [b"%d" % number for number in range(16)]
    assert waits[16:] == [b"39999", b"a", b"p"]


def test_no_more_is_inflated_in_a_turn_than_all_may_together(loop: asyncio.AbstractEventLoop) -> None:
    stream = zlib.compressobj(wbits=-15)
    squeezed = (stream.compress(bytes(60_000)) + stream.flush(zlib.Z_FULL_FLUSH)).removesuffix(b"\x00\x00\xff\xff")

    async def run() -> list[int]:
        turn = Turn(budget=150_000)
        pairs = [made(loop, compress=True, turn=turn) for _ in range(3)]
        for _, parser in pairs:
            parser.feed_data(frame(squeezed, 0xC2) * 4)
        waits = []
        for _ in range(20):
            waits.append(sum(len(intake._buffer) for intake, _ in pairs))
            await asyncio.sleep(0)
        assert [parser._reading_paused for _, parser in pairs] == [False] * 3
        for intake, _ in pairs:
            assert [(await intake.read()).data for _ in range(4)] == [bytes(60_000)] * 4
        return waits

    waits = loop.run_until_complete(run())

    assert waits[:5] == [3, 6, 9, 12, 12]


def test_what_is_more_than_a_read_hands_on_waits_for_receive(loop: asyncio.AbstractEventLoop) -> None:
    count = FRAMES_OF_A_READ + 3
    came, error = outcome(loop, [b"".join(frame(b"%d" % number) for number in range(count))], True)

    assert [each if isinstance(each, bytes) else each[1] for each in came] == [
        b"%d" % number for number in range(count)
    ]
    assert sum(isinstance(each, bytes) for each in came) == FRAMES_OF_A_READ
    assert error is None


def test_a_frame_that_comes_byte_by_byte_costs_no_more_than_it_has(loop: asyncio.AbstractEventLoop) -> None:
    intake, parser = made(loop)
    came = taking(intake)
    stream = frame(bytes(60_000))
    for at in range(len(stream)):
        parser.feed_data(stream[at : at + 1])
        assert len(parser._waiting or ()) <= 65

    assert came == [bytes(60_000)]
