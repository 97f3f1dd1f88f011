"""The strict reader: what RFC 6455 and 7692 have, and nothing else."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.wire.websocket import BINARY, CLOSE, FRAGMENTS, PING, TEXT, Broken, Message, Reader, unmasked

LIMIT = 100_000
# Hex, as it stands in RFC 6455 5.7 where that has it: a masked "Hello".
HELLO = "37fa213d 7f9f4d5158"


def read(frames: str | bytes, *, masked: bool = True, deflates: bool = False, ratio: float = 0.0) -> list[Message]:
    """All messages of a stream that ends with a whole one."""
    data = bytes.fromhex(frames) if isinstance(frames, str) else frames
    reader, messages, at = Reader(LIMIT, masked=masked, deflates=deflates, ratio=ratio), [], 0
    while at < len(data):
        before = at
        at, message = reader.read(data, at)
        assert at > before, f"{reader.needed} bytes needed"
        if message is not None:
            messages.append(message)
    assert not reader.unfinished
    return messages


def broken(frames: str | bytes, **options: object) -> tuple[int, str]:
    with pytest.raises(Broken) as caught:
        read(frames, **options)  # type: ignore[arg-type]
    return caught.value.closes, caught.value.text


def deflated(data: bytes, final: bool = False) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    squeezed = stream.compress(data) + stream.flush(zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
    return squeezed if final else squeezed.removesuffix(b"\x00\x00\xff\xff")


def frame(first: int, payload: bytes) -> bytes:
    """Masked with zeros."""
    size = len(payload)
    length = (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + size.to_bytes(2)
        if size < 1 << 16
        else b"\xff" + size.to_bytes(8)
    )
    return bytes((first,)) + length + bytes(4) + payload


def test_the_examples_of_the_rfc_are_read() -> None:
    assert read("81 85" + HELLO) == [(TEXT, b"Hello")]
    assert read("81 05 48656c6c6f", masked=False) == [(TEXT, b"Hello")]
    assert read("01 03 48656c 80 02 6c6f", masked=False) == [(TEXT, b"Hello")]
    assert read("89 05 48656c6c6f", masked=False) == [(PING, b"Hello")]
    assert read(b"\x82\x7e\x01\x00" + bytes(256), masked=False) == [(BINARY, bytes(256))]
    assert read(b"\x82\x7f" + (65_536).to_bytes(8) + bytes(65_536), masked=False) == [(BINARY, bytes(65_536))]
    # RFC 7692 7.2.3: a message in one block, and again with the context of the first
    assert read("c1 07 f248cdc9c90700", masked=False, deflates=True) == [(TEXT, b"Hello")]
    both = "c1 07 f248cdc9c90700 c1 05 f200110000"
    assert read(both, masked=False, deflates=True) == [(TEXT, b"Hello")] * 2
    assert read("41 03 f248cd 80 04 c9c90700", masked=False, deflates=True) == [(TEXT, b"Hello")]
    assert read("c1 08 f348cdc9c9070000", masked=False, deflates=True) == [(TEXT, b"Hello")]


def test_control_frames_come_between_the_pieces_of_a_message() -> None:
    frames = "02 81 00000000 61  89 80 00000000  00 81 00000000 62  80 80 00000000"

    assert read(frames) == [(PING, b""), (BINARY, b"ab")]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ("82 00", "not masked"),
        ("83 80 00000000", "no opcode 3"),
        ("8b 80 00000000", "no opcode 11"),
        ("a2 80 00000000", "reserved bit"),
        ("92 80 00000000", "reserved bit"),
        ("c2 80 00000000", "says that it is compressed"),
        ("c9 80 00000000", "says that it is compressed"),
        ("09 80 00000000", "control frame came in fragments"),
        ("89 fe 007e", "longer than 125"),
        ("80 80 00000000", "nothing to continue"),
        ("02 80 00000000 82 80 00000000", "last message has not ended"),
        ("82 fe 007d", "more bytes than it takes"),
        ("82 ff 000000000000ffff", "more bytes than it takes"),
        ("82 ff 8000000000000000", "first bit of a length"),
        ("88 81 00000000 03", "one byte"),
        ("88 82 00000000 03ee", "code 1006"),
        ("88 82 00000000 03ed", "code 1005"),
        ("88 82 00000000 03ec", "code 1004"),
        ("88 82 00000000 03f7", "code 1015"),
        ("88 82 00000000 0000", "code 0"),
        ("88 82 00000000 0bb7", "code 2999"),
        ("88 82 00000000 1388", "code 5000"),
    ],
)
def test_what_breaks_the_protocol_is_told(frames: str, why: str) -> None:
    closes, text = broken(frames)

    assert closes == 1002
    assert why in text


def test_a_frame_to_a_client_must_not_be_masked() -> None:
    assert broken("82 80 00000000", masked=False) == (1002, "a frame came that is masked")


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1014, 3000, 4999])
def test_a_close_has_a_code_that_may_be_sent(code: int) -> None:
    assert read(frame(0x88, code.to_bytes(2) + "Grüße".encode())) == [(CLOSE, (code, "Grüße"))]
    assert broken(frame(0x88, code.to_bytes(2) + b"\xff"))[0] == 1007


def test_a_text_is_utf8_and_its_first_wrong_piece_is_told_at_once() -> None:
    assert read(frame(0x01, b"\xce") + frame(0x80, b"\xba")) == [(TEXT, "κ".encode())]
    for wrong in (frame(0x81, b"\xce"), frame(0x01, b"\xff"), frame(0x01, b"\xce") + frame(0x80, b"")):
        assert broken(wrong)[0] == 1007
    assert broken(frame(0xC1, deflated(b"\xff")), deflates=True)[0] == 1007


def test_a_message_that_is_too_long_is_told_before_it_is_there() -> None:
    assert broken(b"\x82\xff" + (LIMIT + 1).to_bytes(8))[0] == 1009
    assert broken(frame(0x02, bytes(LIMIT)) + b"\x00\x81")[0] == 1009
    assert broken("82 ff 7fffffffffffffff")[0] == 1009
    assert read(frame(0x82, bytes(LIMIT))) == [(BINARY, bytes(LIMIT))]


def test_nothing_is_inflated_beyond_the_limit_or_the_ratio() -> None:
    bomb = frame(0xC2, deflated(bytes(LIMIT + 1)))

    assert len(bomb) < 200
    assert broken(bomb, deflates=True) == (1009, f"a message inflates to more than the limit of {LIMIT} bytes")
    fits = frame(0xC2, deflated(bytes(LIMIT)))
    assert read(fits, deflates=True) == [(BINARY, bytes(LIMIT))]
    assert "times its" in broken(fits, deflates=True, ratio=100)[1]
    small = frame(0xC2, deflated(bytes(60_000)))
    assert read(small, deflates=True, ratio=2) == [(BINARY, bytes(60_000))]


def test_what_cannot_be_inflated_is_told() -> None:
    assert broken(frame(0xC2, b"\xff\xff"), deflates=True)[0] == 1007
    last_blocks = b"".join(deflated(b"a", final=True) for _ in range(100))
    assert broken(frame(0xC2, last_blocks), deflates=True) == (
        1008,
        "a compressed message has more than 64 last blocks",
    )
    assert read(frame(0xC2, deflated(b"ab" * 99, final=True)), deflates=True) == [(BINARY, b"ab" * 99)]
    assert read(frame(0xC2, deflated(b"", final=True) + deflated(b"more")), deflates=True) == [(BINARY, b"more")]


def test_a_message_comes_in_so_many_pieces_and_no_more() -> None:
    assert broken(frame(0x02, b"") + frame(0x00, b"") * FRAGMENTS)[0] == 1008


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_is_what_the_rfc_says(payload: bytes, mask: bytes) -> None:
    assert unmasked(payload, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_whatever_comes_is_a_message_or_broken(data: bytes, masked: bool, deflates: bool) -> None:
    reader, at = Reader(LIMIT, masked=masked, deflates=deflates), 0
    try:
        while True:
            before = at
            at, _ = reader.read(data, at)
            if at == before:
                break
    except Broken as broken:
        assert broken.closes in (1002, 1007, 1008, 1009)  # noqa: PT017 - it may be, or may not
    else:
        assert reader.needed > len(data) - at
