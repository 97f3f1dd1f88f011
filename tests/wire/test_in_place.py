"""Large payloads stay where they are in their frame. That must come to the same as decoding it like every other."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwire.core.identity import checksum_of
from tickwire.wire import in_place
from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode, encode_section, encode_section_of
from tickwire.wire.encoded import Encoded, encoded_at, encoded_in_python
from tickwire.wire.errors import WireError
from tickwire.wire.in_place import WORTH_BYTES, publish_in_place
from tickwire.wire.messages import Publish, Run

sizes = st.one_of(st.integers(WORTH_BYTES, 2_000), st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 70_000]))
payloads = st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255))
topics = st.sampled_from(["a", "a.b", "a" * 31, "b" * 32, "é" * 100, "c" * 255, "d" * 256, "a..b", ""])
ids = st.sampled_from([None, 0, 127, 128, 255, 256, 65_536, 1 << 32, (1 << 53) - 1, 1 << 53, -1])
publishes = st.builds(
    lambda id, topic, data, format, sequence: Publish(id, [Run(topic, data, format)], sequence),
    ids,
    topics,
    st.lists(payloads, min_size=1, max_size=20),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([None, 0, 900]),
)
frames = st.builds(encode, publishes)


@pytest.fixture(autouse=True, scope="module")
def worth_it_in_small_frames() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_place, "WORTH_FRAME_BYTES", 300)
        yield


def large(size: int = 1_000, count: int = 3, **given: int) -> bytes:
    return encode(Publish(7, [Run("prices.AAPL", [bytes(size)] * count)], **given))


def assert_same(frame: bytes) -> None:
    """What is read in place is what decoding says; where decoding raises, nothing is."""
    found = publish_in_place(frame)
    if found is not None:
        usual = decode_from_client(frame)
        assert isinstance(usual, Publish)
        assert checksum_of(found.runs) == checksum_of(usual.runs)
        (run,) = found.runs
        assert isinstance(run.payloads, Encoded)
        assert run.payloads.size == sum(map(len, run.payloads))
        run.payloads = list(run.payloads)
        assert found == usual


@given(frames)
def test_a_frame_read_in_place_is_what_decoding_says(frame: bytes) -> None:
    assert_same(frame)


@given(frames, st.data())
@example(large(), None)
def test_a_damaged_frame_is_never_read_in_place_as_something_else(frame: bytes, data: st.DataObject | None) -> None:
    if data is None:
        for at in range(60):
            for byte in range(256):
                assert_same(frame[:at] + bytes([byte]) + frame[at + 1 :])
        return
    at = data.draw(st.integers(0, min(len(frame), 400) - 1) | st.integers(max(0, len(frame) - 40), len(frame) - 1))
    change = data.draw(st.sampled_from(["cut", "insert", "replace", "drop"]))
    byte = bytes([data.draw(st.integers(0, 255))])
    assert_same(
        {
            "cut": frame[:at],
            "insert": frame[:at] + byte + frame[at:],
            "replace": frame[:at] + byte + frame[at + 1 :],
            "drop": frame[:at] + frame[at + 1 :],
        }[change]
    )


@given(st.lists(payloads, min_size=1, max_size=6), st.data())
def test_the_library_finds_the_payloads_that_python_finds(made: list[bytes], data: st.DataObject) -> None:
    whole = msgpack.packb(made)
    at = data.draw(st.integers(0, len(whole)) | st.integers(0, min(len(whole), 30)))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
    count = data.draw(st.integers(1, len(made) + 1))

    for stream in (whole + b"end", damaged + b"end"):
        by_library, by_python = encoded_at(stream, 1, count), encoded_in_python(stream, 1, count)
        assert (by_library is None) == (by_python is None)
        if by_library is not None and by_python is not None:
            assert [*by_library.ends, by_library.size] == [*by_python.ends, by_python.size]


@pytest.mark.parametrize(
    "publish",
    [
        Publish(7, [Run("a.b", [bytes(1_000)] * 100)]),
        Publish(None, [Run("a" * 255, [bytes(500)])]),
        Publish((1 << 53) - 1, [Run("a" * 32, [bytes(70_000), bytes(3)], 1)], sequence=5, retry=True),
        Publish(300, [Run("a", [bytes(255), bytes(1_000)] * 20)], sequence=70_000),
    ],
)
def test_what_the_sdk_sends_is_read_in_place(publish: Publish) -> None:
    found = publish_in_place(encode(publish))

    assert found is not None
    assert isinstance(found.runs[0].payloads, Encoded)
    assert [found.id, found.sequence, found.retry] == [publish.id, publish.sequence, publish.retry]


@pytest.mark.parametrize(
    ("what", "frame"),
    [
        ("small payloads", large(size=WORTH_BYTES - 10)),
        ("two runs", encode(Publish(7, [Run("a", [bytes(900)]), Run("b", [bytes(900)])]))),
        ("payloads that are strings", msgpack.packb([4, 7, [["a", ["x" * 900]]]])),
        ("a header longer than it need be", bytes.fromhex("93 04 07 91 92 a161 91 c600000384") + bytes(900)),
        (
            "a small payload whose header is longer than it need be",
            bytes.fromhex("93 04 07 91 92 a161 92 c50384") + bytes(900) + bytes.fromhex("c5000178"),
        ),
        ("an array that is longer than the frame", large()[:-1]),
        ("something behind the frame", large() + b"\xc0"),
        (
            "a last payload whose size is not there",
            bytes.fromhex("93 04 07 91 92 a161 92 c50384") + bytes(900) + b"\xc5",
        ),
        ("a sequence that is none", msgpack.packb([4, 7, [["a", [bytes(900)]]], {"sequence": "x"}])),
        ("more payloads than a frame may have", encode(Publish(7, [Run("a", [bytes(400)] * 8_193)]))),
        ("another kind", b"\x93\x02" + large()[2:]),
    ],
)
def test_all_else_is_left_to_the_decoder(what: str, frame: bytes) -> None:
    assert publish_in_place(frame) is None


def test_what_is_wrong_around_the_payloads_is_refused_in_the_decoders_words() -> None:
    frame = msgpack.packb([4, -1, [["a", [bytes(900)]]]])

    assert publish_in_place(frame) is None
    with pytest.raises(WireError, match="id must be nil or an integer"):
        decode_from_client(frame)


@given(st.lists(payloads, min_size=1, max_size=20), st.sampled_from([0, 1]))
def test_a_section_of_encoded_payloads_has_the_bytes_of_any_other(data: list[bytes], format: int) -> None:
    encoded = Encoded.of(data)

    made = encode_section_of("a.b", 5, 6, 7, len(data), [encoded.view], format)

    assert made == encode_section("a.b", 5, 6, 7, data, format)
    assert [len(encoded), list(encoded), encoded.size] == [len(data), data, sum(map(len, data))]
