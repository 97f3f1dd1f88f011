"""Data to payloads and back, whoever published."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from house.cpu import cpu_seconds
from tickwire.fanout.section import seal
from tickwire.wire.limits import BYTES, MSGPACK
from tickwire_client import Messages, WireError
from tickwire_client.messages import Section
from tickwire_client.payloads import MAX_CONTAINERS, MAX_ODD_KEYS, TOGETHER_BYTES, pack, unpack, unpack_together

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=4),
    max_leaves=10,
)


def data(payloads: list[bytes], format: int = MSGPACK) -> list[Any]:
    return [message.data for message in Section("t", 1, 0, 0, payloads, format).messages()]


@given(st.lists(values, min_size=1, max_size=20))
def test_what_is_published_is_read(published: list[Any]) -> None:
    assert data([pack(value) for value in published]) == published


def test_an_aware_datetime_is_a_timestamp() -> None:
    now = datetime(2026, 11, 22, 12, 30, 15, 250_000, UTC)
    assert data([pack({"at": now})]) == [{"at": now}]


def test_bytes_are_not_decoded() -> None:
    assert data([b"\xc1", b""], BYTES) == [b"\xc1", b""]


@pytest.mark.parametrize(
    "payload",
    ["", "93", "0102", "c1", "d40100", "c7ff01" + "00" * 255, "819000", "dd7fffffff"],
    ids=["empty", "cut", "two", "unused", "extension", "long extension", "list as key", "declared, not there"],
)
def test_a_payload_that_is_not_one_object_says_so_and_spoils_no_other(payload: str) -> None:
    bad = bytes.fromhex(payload)
    section = Section("t", 1, 0, 0, [pack("a"), bad, pack("b")], MSGPACK)
    first, middle, last = section.messages()

    assert (first.data, last.data) == ("a", "b")
    with pytest.raises(WireError, match="not one msgpack object"):
        _ = middle.data
    assert middle.payload == bad


@pytest.mark.parametrize(
    ("forged", "second"),
    [
        (["93", "a161", "a162", "01020304"], "a"),
        (["92", "05", "010203"], 5),
        (["91", "05", "0102"], 5),
        (["", "05", "01020304"], 5),
    ],
)
def test_no_publisher_can_push_data_into_the_message_of_another(forged: list[str], second: object) -> None:
    section = Section("t", 1, 0, 0, [bytes.fromhex(payload) for payload in forged], MSGPACK)

    assert section.messages()[1].data == second


@pytest.mark.parametrize(
    "payload",
    [
        b"\x90\xdd" + (900_000).to_bytes(4, "big") + b"\x90" * 900_000,
        b"\xdd" + (900_000).to_bytes(4, "big") + b"\x90" * 900_000,
        b"\xdc\xff\xff" * 300_000,
        b"\x91" * 900_000,
        msgpack.packb({at << 40: None for at in range(MAX_ODD_KEYS + 1)}),
    ],
    ids=["two", "many", "declared", "deep", "colliding"],
)
def test_no_payload_holds_the_loop(payload: bytes) -> None:
    def refuse() -> None:
        with pytest.raises(WireError):
            unpack(payload)

    # 20 ms are meant; what else the machine does is not of interest here.
    assert cpu_seconds(refuse) < 0.1


def test_an_array_that_is_declared_and_not_there_takes_no_memory() -> None:
    payloads = [b"\xdc\x7f\xff" * 1_000] * 20

    tracemalloc.start()
    try:
        assert unpack_together(payloads) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 << 20


def test_what_is_large_or_odd_is_decoded_one_at_a_time() -> None:
    large = [pack("x" * TOGETHER_BYTES), pack({1: 2, 2.5: 3})]

    assert unpack_together(large) is None
    assert data(large) == ["x" * TOGETHER_BYTES, {1: 2, 2.5: 3}]
    assert len(unpack(pack([[]] * (MAX_CONTAINERS - 1)))) == MAX_CONTAINERS - 1


def test_a_value_that_cannot_be_packed_does_not_spoil_the_next() -> None:
    for odd in (object(), {"a": {1, 2}}, 2**64):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            pack([1, odd])
    assert pack(1) == b"\x01"


def test_a_naive_datetime_is_refused_with_what_works() -> None:
    with pytest.raises(TypeError, match=r"an aware one can: datetime\.now\(UTC\)"):
        pack([datetime(2026, 1, 1)])


def test_the_sections_that_a_broker_makes_of_much_are_each_decoded_in_one_call() -> None:
    published = [pack({"n": number, "x": "x" * (number % 400)}) for number in range(2_000)]

    sections = seal("a", 0, 1, 0, 0.0, [published], sum(map(len, published)), MSGPACK)

    assert len(sections) > 3
    for section in sections:
        payloads = msgpack.unpackb(section.data)[4]
        together = unpack_together(payloads)
        assert together is not None
        assert len(together) == len(payloads)


# Messages that came together.


def section(*payloads: bytes, first: int = 0) -> Section:
    return Section("a", 1, first, 0, list(payloads), MSGPACK)


def test_messages_are_a_sequence_that_makes_each_when_it_is_looked_at() -> None:
    messages = Messages([section(pack("one"), pack("two")), section(pack({"n": 3}), first=7)])

    assert len(messages) == 3
    assert [(message.offset, message.data) for message in messages] == [(0, "one"), (1, "two"), (7, {"n": 3})]
    assert messages.data == ["one", "two", {"n": 3}]
    assert (messages[-1].offset, [message.data for message in messages[:2]]) == (7, ["one", "two"])
    assert [message.offset for message in reversed(messages)] == [7, 1, 0]
    assert repr(messages) == "<3 messages: Section('a', 0..1), Section('a', 7..7)>"


def test_one_payload_that_is_no_data_is_an_error_of_all_and_the_others_are_still_there() -> None:
    messages = Messages([section(pack(1), b"\xc1", pack(3))])

    with pytest.raises(WireError):
        messages.data  # noqa: B018 - decoded when it is asked for

    assert (messages[0].data, messages[2].data) == (1, 3)


def test_what_is_done_with_the_data_of_all_is_nobody_elses_concern() -> None:
    messages = Messages([section(pack(1), pack(2))])

    messages.data.clear()

    assert messages.data == [1, 2]
