"""What holds for any message and any bytes, tried on what hypothesis makes up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.wire.codes import CODES
from tickwire.wire.decode import decode, decode_from_broker, decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.errors import WireError
from tickwire.wire.limits import MAX_INT
from tickwire.wire.messages import (
    Ack,
    Beat,
    Bye,
    Consume,
    Consumed,
    Delivery,
    End,
    Extended,
    FromBroker,
    FromClient,
    Gap,
    Group,
    Groups,
    Hello,
    Join,
    List,
    Mark,
    Message,
    Publish,
    Refusal,
    Returned,
    Run,
    Section,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    Window,
)
from tickwire.wire.view import from_json, from_plain, plain, to_json

from .vectors import load, to_bytes

INTEGERS = st.sampled_from([0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, MAX_INT]) | st.integers(
    0, MAX_INT
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PAYLOADS = st.lists(st.binary(max_size=40), min_size=1, max_size=20)
FORMATS = st.sampled_from([0, 1])
MAPS = st.dictionaries(TEXTS, INTEGERS, max_size=5)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


BEATS, BYES = st.builds(Beat, INTEGERS), st.builds(Bye, TEXTS, TEXTS, optional(INTEGERS))
POSITIONS = st.lists(st.tuples(TEXTS, INTEGERS), max_size=3)
STARTS = st.one_of(
    st.tuples(st.sampled_from(["earliest", "last"])),
    st.tuples(st.just("time"), INTEGERS),
    st.tuples(st.just("offset"), INTEGERS, INTEGERS),
)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=16)
FLAGS = st.sampled_from([None, True])
SUBSCRIBES = st.one_of(
    st.builds(Subscribe, INTEGERS, TEXTS),
    st.builds(Subscribe, INTEGERS, TEXTS, since=STARTS, once=FLAGS),
    st.builds(Subscribe, INTEGERS, TEXTS, st.tuples(INTEGERS, INTEGERS), optional(POSITIONS), optional(STARTS), FLAGS),
    st.builds(Subscribe, INTEGERS, TEXTS, group=NAMES),
)
RUNS = st.builds(Run, TEXTS, PAYLOADS, FORMATS)
SECTIONS = st.builds(
    Section, TEXTS, INTEGERS, INTEGERS, INTEGERS, PAYLOADS, FORMATS, optional(INTEGERS), optional(INTEGERS)
)
RANGES = st.lists(
    st.tuples(TEXTS, INTEGERS, INTEGERS)
    .map(lambda range: (range[0], *sorted(range[1:])))
    .filter(lambda r: r[1] < r[2]),
    min_size=1,
    max_size=4,
)
COUNTS = st.integers(1, MAX_INT)
GROUPS = st.builds(Group, TEXTS, TEXTS, INTEGERS, INTEGERS, INTEGERS)
FROM_CLIENT: st.SearchStrategy[FromClient] = st.one_of(
    st.builds(
        Hello,
        st.lists(INTEGERS),
        optional(TEXTS),
        optional(TEXTS),
        optional(NAMES),
        optional(INTEGERS),
        st.lists(SUBSCRIBES, max_size=3),
    ),
    SUBSCRIBES,
    st.builds(Unsubscribe, INTEGERS),
    st.builds(Publish, optional(INTEGERS), st.lists(RUNS, max_size=3), optional(INTEGERS), FLAGS),
    st.builds(Consume, INTEGERS, TEXTS, NAMES, COUNTS, optional(COUNTS), optional(COUNTS)),
    st.builds(Consumed, INTEGERS, RANGES),
    st.builds(Returned, INTEGERS, RANGES, optional(INTEGERS)),
    st.builds(Window, INTEGERS, COUNTS),
    st.builds(Extended, INTEGERS, RANGES, FLAGS),
    st.builds(List, INTEGERS),
    BEATS,
    BYES,
)
FROM_BROKER: st.SearchStrategy[FromBroker] = st.one_of(
    BEATS,
    BYES,
    st.builds(Welcome, INTEGERS, INTEGERS, INTEGERS, MAPS, st.dictionaries(TEXTS, TEXTS, max_size=3)),
    st.builds(Subscribed, INTEGERS, INTEGERS, INTEGERS, optional(INTEGERS)),
    st.builds(Unsubscribed, INTEGERS),
    st.builds(Ack, st.lists(st.lists(INTEGERS, min_size=1, max_size=4), max_size=20)),
    st.builds(Refusal, INTEGERS, optional(INTEGERS), TEXTS, TEXTS, optional(MAPS.filter(bool))),
    st.builds(Delivery, INTEGERS, st.lists(SECTIONS, max_size=4)),
    st.builds(Gap, INTEGERS, TEXTS, optional(INTEGERS), optional(INTEGERS), TEXTS),
    st.builds(Mark, INTEGERS),
    st.builds(Join, INTEGERS, INTEGERS),
    st.builds(End, INTEGERS),
    st.builds(Groups, INTEGERS, st.lists(GROUPS, max_size=3)),
)
OPTIONS = st.sampled_from(
    [
        *("format", "epoch", "attempt", "client", "publisher", "incarnation", "subscriptions"),
        *("seen", "positions", "since", "once", "group", "sequence", "retry", "ack_timeout_ms", "attempts", "waiting"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | TEXTS
    | st.binary(max_size=20)
    | INTEGERS
    | st.sampled_from(["earliest", "last", "time", "offset"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS | OPTIONS, inner, max_size=3),
    max_leaves=20,
)
# Arrays that start with a kind get past the first checks, which hardly any random bytes do.
NEAR_FRAMES = st.tuples(st.integers(-1, 28), st.lists(VALUES, max_size=8)).map(lambda parts: [parts[0], *parts[1]])
HEXES = [to_bytes(vector["hex"]) for vector in load("frames.json")]


@given(FROM_CLIENT)
def test_any_message_of_a_client_survives_the_wire_and_the_view(message: FromClient) -> None:
    assert decode_from_client(encode(message)) == message
    assert from_json(json.loads(json.dumps(to_json(message)))) == message


@given(FROM_BROKER)
def test_any_message_of_the_broker_survives_the_wire_and_the_view(message: FromBroker) -> None:
    assert decode_from_broker(encode(message)) == message
    assert from_json(json.loads(json.dumps(to_json(message)))) == message


@given(FROM_CLIENT | FROM_BROKER, st.lists(VALUES, min_size=1, max_size=3))
def test_unknown_trailing_elements_change_nothing(message: Message, unknown: list[Any]) -> None:
    elements = msgpack.unpackb(encode(message))
    optional_elements = {Hello: 3, Subscribe: 4, Publish: 4, Consume: 6, Returned: 4, Extended: 4, Bye: 4, Refusal: 6}
    padding = [None] * (optional_elements.get(type(message), 0) - len(elements))

    assert decode(msgpack.packb([*elements, *padding, *unknown])) == message


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_a_wire_error(data: bytes) -> None:
    _decodes_or_raises(data)


@given(NEAR_FRAMES)
def test_any_array_that_starts_with_a_kind_decodes_or_raises_a_wire_error(elements: list[Any]) -> None:
    _decodes_or_raises(msgpack.packb(elements))


@given(st.sampled_from(HEXES), st.data())
def test_a_frame_with_some_bytes_changed_decodes_or_raises_a_wire_error(frame: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, min(len(frame), start + 4)))

    _decodes_or_raises(frame[:start] + data.draw(st.binary(max_size=4)) + frame[end:])


@given(st.sampled_from(HEXES))
def test_a_frame_that_is_cut_anywhere_is_refused(frame: bytes) -> None:
    for end in range(len(frame)):
        with pytest.raises(WireError) as refused:
            decode_from_client(frame[:end])
        assert refused.value.code == "bad_frame"


@given(VALUES)
def test_any_value_can_be_shown_as_json(value: Any) -> None:
    shown = plain(value)

    json.dumps(shown, allow_nan=False)
    if not _has_odd_map_or_number(value):
        assert from_plain(shown) == value


def _has_odd_map_or_number(value: Any) -> bool:
    """NaN and infinities are shown as null, and a map may itself look like bytes."""
    if isinstance(value, dict):
        return "$bytes" in value or any(map(_has_odd_map_or_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_odd_map_or_number, value))
    return isinstance(value, float)


def test_json_that_is_no_message_is_refused_by_name() -> None:
    for value, named in (
        (5, "kind"),
        ({"kind": "welcom"}, "welcom"),
        ({"kind": "mark"}, "stamp"),
        ({"kind": "mark", "stamp": "1"}, "mark.stamp"),
        ({"kind": "mark", "stamp": 1, "when": 2}, "when"),
        ({"kind": "publish", "id": 1, "runs": [{"topic": "a", "payloads": ["x"]}]}, "payloads"),
        ({"kind": "publish", "id": 1, "runs": [{"topic": "a", "payloads": [{"$bytes": "?"}]}]}, "publish"),
    ):
        with pytest.raises(WireError, match=named):
            from_json(value)


def _decodes_or_raises(data: bytes) -> None:
    for read in (decode_from_client, decode_from_broker, decode):
        message = _message_or_error(read, data)
        if isinstance(message, WireError):
            assert message.code in CODES
            assert message.text.isprintable()
        else:
            assert message is None or decode(encode(message)) == message


def _message_or_error(read: Callable[[bytes], Message | None], data: bytes) -> Message | WireError | None:
    try:
        return read(data)
    except WireError as error:
        return error
