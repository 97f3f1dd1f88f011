"""Shared frames: the header, and a deflated twin that anybody can inflate on its own."""

from __future__ import annotations

import os
import zlib

import pytest

from tickwire.fanout.catchup import LIVE
from tickwire.fanout.frame import Deflater, live_frame, live_frames, share, websocket_frame
from tickwire.wire.encode import join_sections

TICKS = b"prices.AAPL 187.21 " * 400


def body(message: bytes) -> bytes:
    length = message[1]
    return message[{126: 4, 127: 10}.get(length, 2) :]


def inflate(data: bytes, window: int = 15) -> bytes:
    return zlib.decompressobj(-window).decompress(data + b"\x00\x00\xff\xff")


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "82 00"),
        (125, "82 7d"),
        (126, "82 7e 00 7e"),
        (65535, "82 7e ff ff"),
        (65536, "82 7f 00 00 00 00 00 01 00 00"),
    ],
)
def test_the_header_says_the_length_in_the_shortest_way(length: int, header: str) -> None:
    frame = websocket_frame(b"x" * length)

    assert frame == bytes.fromhex(header) + b"x" * length


def test_sections_that_leave_alone_are_framed_like_joined_ones() -> None:
    sections = [b"s" * length for length in (0, 1, 121, 122, 65_531, 65_532, 70_000)]

    frames = live_frames(sections)

    assert frames == [websocket_frame(join_sections(LIVE, [section])) for section in sections]
    assert frames == [live_frame(section) for section in sections]


def test_each_deflated_frame_stands_alone() -> None:
    deflater = Deflater()

    messages = [share([TICKS + b"%d" % number], deflater)[1] for number in range(3)]

    for number, message in enumerate(messages):
        assert message[0] == 0xC2
        assert inflate(body(message)) == TICKS + b"%d" % number


def test_a_peer_that_keeps_its_context_inflates_the_same_frames_in_a_row() -> None:
    deflater, context = Deflater(), zlib.decompressobj(-15)

    for number in range(3):
        message = share([TICKS + b"%d" % number], deflater)[1]
        assert context.decompress(body(message) + b"\x00\x00\xff\xff") == TICKS + b"%d" % number


def test_a_small_window_is_never_left() -> None:
    far_apart = os.urandom(300) + bytes(20_000) + os.urandom(300)
    text = far_apart * 3

    message = share([text], Deflater(window=9))[1]

    assert inflate(body(message), window=9) == text


@pytest.mark.parametrize("frame", [b"short" * 100, os.urandom(2000), b"long" * 100_000])
def test_what_is_short_or_long_or_does_not_shrink_goes_plain(frame: bytes) -> None:
    shared = share([frame], Deflater(least=512, most=256 << 10))

    assert shared == (websocket_frame(frame),) * 2


def test_frames_that_leave_together_are_each_deflated_once() -> None:
    deflater = Deflater()

    share([TICKS, TICKS, b"tiny"], deflater)

    assert deflater.calls == 2
