"""The proof of the demo: it holds when all is equal, and names what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import pytest

from tickwire.server.demo.proof import Ledger, compare


@dataclass(frozen=True)
class Message:
    topic: str
    offset: int
    payload: bytes


MESSAGES = [Message(topic, offset, f"{topic} {offset}".encode()) for offset in range(3) for topic in ("a", "b")]


def ledger(messages: list[Message]) -> Ledger:
    ledger = Ledger()
    ledger.take(messages)
    return ledger


def test_it_holds_when_every_reader_has_what_was_published() -> None:
    proof = compare(ledger(MESSAGES), {1: ledger(MESSAGES), 2: ledger(MESSAGES)}, 2)

    assert proof.holds
    assert proof.lines() == [
        "2 readers x 2 topics: 12 deliveries, every count, offset and checksum equal to the publisher's"
    ]


def test_the_checksum_runs_over_all_payloads_of_a_topic() -> None:
    assert ledger(MESSAGES).table["b"] == [3, 0, 3, crc32(b"b 0b 1b 2")]


def lost(messages: list[Message]) -> None:
    del messages[2]


def lost_last(messages: list[Message]) -> None:
    messages.pop()


def lost_first(messages: list[Message]) -> None:
    messages.pop(0)


def doubled(messages: list[Message]) -> None:
    messages.insert(2, messages[0])


def swapped(messages: list[Message]) -> None:
    messages[0], messages[2] = messages[2], messages[0]


def changed(messages: list[Message]) -> None:
    messages[5] = Message("b", 2, b"b 3")


def shifted(messages: list[Message]) -> None:
    messages[:] = [Message(m.topic, m.offset + 1, m.payload) if m.topic == "a" else m for m in messages]


def silent(messages: list[Message]) -> None:
    messages[:] = [message for message in messages if message.topic == "a"]


def invented(messages: list[Message]) -> None:
    messages.append(Message("c", 0, b""))


@pytest.mark.parametrize(
    ("harm", "differences"),
    [
        (lost, ["a: offset 2 came where 1 was due", "a: got 2 messages of 3, checksum {bad} instead of {a}"]),
        (lost_last, ["b: got 2 messages of 3, offsets 0 to 1 instead of 0 to 2, checksum {bad} instead of {b}"]),
        (lost_first, ["a: got 2 messages of 3, offsets 1 to 2 instead of 0 to 2, checksum {bad} instead of {a}"]),
        (doubled, ["a: offset 0 came where 1 was due", "a: got 4 messages of 3, checksum {bad} instead of {a}"]),
        (
            swapped,
            [
                "a: offset 0 came where 2 was due",
                "a: offset 2 came where 1 was due",
                "a: offsets 1 to 2 instead of 0 to 2, checksum {bad} instead of {a}",
            ],
        ),
        (changed, ["b: checksum {bad} instead of {b}"]),
        (shifted, ["a: offsets 1 to 3 instead of 0 to 2"]),
        (silent, ["b: got none of 3 messages"]),
        (invented, ["c: got 1 messages, but none was published"]),
    ],
)
def test_every_harm_is_found_and_named(harm: Callable[[list[Message]], None], differences: list[str]) -> None:
    published, received = ledger(MESSAGES), list(MESSAGES)
    harm(received)
    reader = ledger(received)

    proof = compare(published, {1: ledger(MESSAGES), 2: reader}, 2)

    assert not proof.holds
    for found, expected in zip(proof.differences, differences, strict=True):
        topic = expected[0]
        bad = f"{reader.table[topic][3]:08x}" if topic in reader.table else ""
        sums = {name: f"{row[3]:08x}" for name, row in published.table.items()}
        assert found == "reader 2, " + expected.format(bad=bad, **sums)


def test_a_reader_that_was_not_heard_of_is_missed() -> None:
    proof = compare(ledger(MESSAGES), {1: ledger(MESSAGES)}, 2)

    assert proof.differences == ["reader 2: nothing was heard of it"]


def test_a_gap_that_a_reader_was_told_of_is_a_difference() -> None:
    reader = ledger(MESSAGES)
    reader.remark("a: told of a gap")

    proof = compare(ledger(MESSAGES), {1: reader}, 1)

    assert proof.differences == ["reader 1, a: told of a gap"]
    assert proof.lines()[0] == "1 reader x 2 topics: 6 deliveries, 1 difference from what was published:"


def test_many_differences_are_counted_and_the_first_shown() -> None:
    lines = compare(ledger(MESSAGES), {}, 1000).lines()

    assert lines[0].endswith("1,000 differences from what was published:")
    assert len(lines) == 22
    assert lines[-1] == "... and 980 more"
