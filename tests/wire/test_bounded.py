"""A hostile frame is decoded or refused in bounded work, whatever it claims to hold."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable

import pytest

from house.cpu import cpu_seconds
from tickwire.wire.decode import decode_from_broker, decode_from_client
from tickwire.wire.errors import WireError
from tickwire.wire.limits import FRAME_BYTES, FRAME_MESSAGES, POSITIONS, RANGES
from tickwire.wire.messages import Consumed, Message, Publish, Returned, Subscribe

from .vectors import load, to_bytes

# The law is 20 ms of the loop, for whatever is honest. What is hostile may cost a slow machine more: this guards
# against a hang. Both are CPU time of the thread, so that others who use the machine do not fail the test.
LAW_SECONDS = 0.02
HANG_SECONDS = 0.2

PUBLISH = bytes.fromhex("930401")
LARGEST_RUNS = b"\xdc" + FRAME_MESSAGES.to_bytes(2, "big") + b"\x93\xa1a\x91\xc4\x00\x81\xa6format\x01" * FRAME_MESSAGES


def filled(head: bytes, element: bytes, width: int, tail: bytes = b"") -> bytes:
    """The head, then an array of as many elements as the frame and a length of `width` bytes have room for."""
    room = FRAME_BYTES - len(head) - 1 - width - len(tail)
    count = min(room // len(element), (1 << 8 * width) - 1)
    return head + (b"\xdc" if width == 2 else b"\xdd") + count.to_bytes(width, "big") + element * count + tail


def arrays(count: int, element: bytes) -> bytes:
    return b"\xdc" + count.to_bytes(2, "big") + element * count


HOSTILE = {
    "nested arrays": b"\x91" * FRAME_BYTES,
    "nested maps": b"\x81\xa1k" * (FRAME_BYTES // 3),
    "nested headers of the longest arrays": b"\xdc\x40\x00" * (FRAME_BYTES // 3),
    "3 KiB of nested headers of the longest arrays": b"\xdc\x40\x00" * 1023,
    "1 KiB of nested headers": b"\xdc\x04\x00" * 341,
    "nested 32-bit headers": b"\xdd\x00\x00\x40\x00" * (FRAME_BYTES // 5),
    "nested headers under complete arrays": PUBLISH
    + b"\xdc\x00\x40"
    + arrays(16000, b"\xc0") * 60
    + b"\xdc\x3f\x00" * 1000,
    "empty arrays": filled(PUBLISH, b"\x90", 4),
    "empty arrays in arrays": filled(PUBLISH, arrays(16383, b"\x90"), 2),
    "empty maps in arrays": filled(PUBLISH, arrays(16383, b"\x80"), 2),
    "arrays of two": filled(PUBLISH, arrays(1000, b"\x92\xc0\xc0"), 2),
    "16 KiB of empty arrays": PUBLISH + arrays(16375, b"\x90"),
    "integers in arrays": filled(PUBLISH, arrays(16383, b"\xcd\xff\xff"), 2),
    "strings in arrays": filled(PUBLISH, arrays(16383, b"\xa2ab"), 2),
    "runs of one empty payload": filled(PUBLISH, b"\x92\xa1a\x91\xc4\x00", 2),
    "payloads of two bytes": filled(PUBLISH + b"\x91\x92\xa1a", b"\xc4\x02\xdc\xdc", 2),
    "payloads that look like headers": PUBLISH + b"\x91\x92\xa1a\x91\xc6\x00\x0f\x00\x00" + b"\xdc" * 0xF0000,
    "a string that goes wrong at its end": b"\x93\x02\x07\xdb\x00\x0f\xff\x00" + b"a" * 0xFFEFF + b"\xff",
    "a huge declared array": b"\x93\x04\x01\xdd\xff\xff\xff\xff",
    "a huge declared map": b"\x93\x04\x01\xdf\xff\xff\xff\xff",
    "a huge declared string": b"\x93\x04\x01\xdb\xff\xff\xff\xff",
    "a huge declared bin": b"\x93\x04\x01\xc6\xff\xff\xff\xff",
    "a hundred thousand runs": filled(PUBLISH, b"\x92\xa1a\x91\xc4\x00", 4),
}
HOSTILE["more positions than fit"] = filled(
    b"\x94\x02\x07\xa1a\x82\xa4seen\x92\x01\x02\xa9positions", b"\x92\xa1a\x00", 2
)
HOSTILE["more ranges than fit"] = filled(b"\x93\x08\x07", b"\x93\xa1a\x00\x01", 2)
KEYS = b"".join(b"\xa2" + bytes((0x61 + number // 16, 0x61 + number % 16)) + b"\xc0" for number in range(256))
HOSTILE["maps of 256 keys"] = filled(PUBLISH, b"\xde\x01\x00" + KEYS, 2)
HOSTILE["maps of 256 times the same key"] = filled(PUBLISH, b"\xde\x01\x00" + b"\xa0\xc0" * 256, 2)

READERS: dict[str, Callable[[bytes], Message | None]] = {"client": decode_from_client, "broker": decode_from_broker}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("sender", READERS)
def test_a_hostile_frame_does_not_hold_the_loop(name: str, sender: str) -> None:
    assert len(HOSTILE[name]) <= FRAME_BYTES

    assert seconds(READERS[sender], HOSTILE[name]) < HANG_SECONDS


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_frame_takes_no_more_memory_than_a_large_honest_one(name: str) -> None:
    tracemalloc.start()
    try:
        attempt(decode_from_client, HOSTILE[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 40 << 20


def test_no_malformed_vector_holds_the_loop() -> None:
    slowest = max(
        (seconds(read, to_bytes(vector["hex"])), vector["name"])
        for vector in load("malformed.json")
        for read in READERS.values()
    )

    assert slowest[0] < HANG_SECONDS, slowest[1]


def test_the_largest_publish_that_is_allowed_is_decoded() -> None:
    publish = decode_from_client(PUBLISH + LARGEST_RUNS)

    assert isinstance(publish, Publish)
    assert len(publish.runs) == FRAME_MESSAGES


def test_the_densest_delivery_is_decoded() -> None:
    section = b"\x96\xa1a\x00\x00\xcf\x00\x04\x00\x00\x00\x00\x00\x00\x91\xc4\x00\x81\xa6format\x01"

    assert decode_from_broker(filled(b"\x93\x15\x00", section, 2)) is not None


TOPIC = b"\xd9\x64" + b"a" * 100  # as long as lets so many of them into one frame
LARGEST = b"\xcf\x00\x1f\xff\xff\xff\xff\xff\xff"
RESUME = b"\x94\x02\x07\xa1>\x82\xa4seen\x92" + LARGEST * 2 + b"\xa9positions"


def test_the_largest_resume_is_decoded_without_holding_the_loop() -> None:
    frame = RESUME + arrays(POSITIONS, b"\x92" + TOPIC + LARGEST)

    subscribe = decode_from_client(frame)

    assert len(frame) <= FRAME_BYTES
    assert isinstance(subscribe, Subscribe)
    assert subscribe.positions is not None
    assert len(subscribe.positions) == POSITIONS
    assert seconds(decode_from_client, frame) < LAW_SECONDS


@pytest.mark.parametrize("kind", [Consumed, Returned])
def test_the_most_ranges_are_decoded_without_holding_the_loop(kind: type[Consumed | Returned]) -> None:
    frame = bytes((0x93, kind.kind, 0x07)) + arrays(RANGES, b"\x93" + TOPIC + b"\x00" + LARGEST)

    settled = decode_from_client(frame)

    assert len(frame) <= FRAME_BYTES
    assert isinstance(settled, kind)
    assert len(settled.ranges) == RANGES
    assert seconds(decode_from_client, frame) < LAW_SECONDS


def attempt(read: Callable[[bytes], Message | None], frame: bytes) -> None:
    with contextlib.suppress(WireError):
        read(frame)


def seconds(read: Callable[[bytes], Message | None], frame: bytes) -> float:
    return cpu_seconds(lambda: attempt(read, frame))
