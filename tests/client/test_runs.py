"""What a batch is made of: runs of one topic and format, and receipts in the order in which messages were given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.wire.errors import PayloadTooLarge, Refused
from tickwire.wire.limits import BYTES, MSGPACK
from tickwire_client import Receipt
from tickwire_client.checks import check_message
from tickwire_client.limits import Limits
from tickwire_client.runs import Runs

LIMITS = Limits({"payload_bytes": 10})

messages = st.lists(
    st.tuples(st.sampled_from("abc"), st.binary(max_size=3), st.sampled_from([MSGPACK, BYTES])), max_size=30
)


def look(topic: str, payload: bytes, format: int) -> None:
    check_message(topic, payload, format, LIMITS)


@given(messages)
def test_the_receipts_are_those_of_the_messages_in_the_order_they_were_given(
    given: list[tuple[str, bytes, int]],
) -> None:
    runs = Runs()
    for topic, payload, format in given:
        runs.add(topic, payload, format, look)

    stored: dict[str, list[tuple[bytes, int]]] = {}
    offsets = []
    for topic, payloads, *extras in runs.elements():
        log = stored.setdefault(topic, [])
        offsets.append(len(log))
        log += [(payload, extras[0]["format"] if extras else MSGPACK) for payload in payloads]
    receipts = runs.receipts(7, offsets)

    assert len(runs) == len(receipts) == len(given)
    assert [(at.topic, *stored[at.topic][at.offset]) for at in receipts] == given
    assert {at.epoch for at in receipts} <= {7}
    assert len(set(receipts)) == len(receipts)


def test_one_run_has_its_receipts_one_after_the_other() -> None:
    runs = Runs()
    for payload in (b"1", b"2"):
        runs.add("t", payload, MSGPACK, look)

    assert runs.receipts(7, [40]) == [Receipt("t", 7, 40), Receipt("t", 7, 41)]
    with pytest.raises(ValueError, match="unpack"):
        runs.receipts(7, [40, 41])


def test_what_must_not_be_sent_is_refused_wherever_it_stands() -> None:
    runs = Runs()
    runs.add("t", bytes(4), MSGPACK, look)
    runs.add("t", bytes(9), MSGPACK, look)

    with pytest.raises(PayloadTooLarge):
        runs.add("t", bytes(11), MSGPACK, look)
    with pytest.raises(Refused, match="reserved_topic"):
        runs.add("$t", b"", MSGPACK, look)
    with pytest.raises(TypeError, match="a topic is a str"):
        runs.add(["t"], b"", MSGPACK, look)  # type: ignore[arg-type]

    assert len(runs) == 2
    assert runs.elements() == [["t", [bytes(4), bytes(9)]]]
