"""Messages that come back: attempts, delays, timeouts, members that go, and the dead letters."""

from __future__ import annotations

import msgpack
import pytest

from tickwire.wire.errors import Refused
from tickwire.wire.limits import BYTES
from tickwire.wire.messages import Gap, Section

from .table import Seat, Table, offsets_of


def dealt(messages: int = 20, durable: bool = False) -> tuple[Table, Seat]:
    table = Table(durable)
    mine = table.seat().consume("orders")
    table.count("orders", messages)
    table.deal()
    return table, mine


def attempts(sections: list[Section]) -> dict[int, int]:
    """The attempt that each offset came with."""
    return {offset: section.attempt or 1 for section in sections for offset in offsets_of([section])}


def test_what_is_returned_comes_again_with_its_attempt() -> None:
    _, mine = dealt()
    mine.take()

    mine.nack(("orders", 5, 8))
    mine.nack(("orders", 6, 7))

    sections = mine.sections()
    assert [(section.first, len(section.payloads), section.attempt) for section in sections] == [(5, 3, 2), (6, 1, 3)]
    assert sections[0].payloads == [b"5", b"6", b"7"]


def test_what_is_returned_with_a_delay_comes_when_it_is_due_and_not_before() -> None:
    table, mine = dealt()
    mine.take()

    mine.nack(("orders", 0, 2), delay_ms=2_000)
    mine.nack(("orders", 2, 4), delay_ms=1_000)
    at_once = mine.offsets()
    table.wait(1.5)
    after_one = mine.offsets()
    table.wait(1)

    assert (at_once, after_one, mine.offsets()) == ([], [2, 3], [0, 1])


def test_a_delay_that_is_nearly_over_is_waited_for_and_a_long_one_is_not() -> None:
    table, mine = dealt()

    mine.nack(("orders", 0, 1), delay_ms=500)
    soon = table.groups.waiting
    mine.nack(("orders", 1, 2), delay_ms=60_000)
    table.wait(0.5)

    assert (soon, table.groups.waiting) == (True, False)


def test_what_is_not_settled_in_time_goes_to_another_member() -> None:
    table, slow = dealt()
    slow.ack(("orders", 0, 10))
    slow.writable = False
    other = table.seat().consume("orders")

    table.wait(29)
    before = other.offsets()
    table.wait(2)

    assert (before, attempts(other.sections())) == ([], dict.fromkeys(range(10, 20), 2))
    assert table.groups.listing()[0].unacked == 10


def test_what_was_handed_out_later_has_a_deadline_of_its_own() -> None:
    table, mine = dealt(1)
    table.wait(20)
    table.count("orders", 1)
    table.deal()
    mine.take()

    table.wait(15)
    first = attempts(mine.sections())
    table.wait(15)

    assert (first, attempts(mine.sections())) == ({0: 2}, {1: 2})


def test_a_lost_connection_gives_back_what_it_had_and_that_counts() -> None:
    table, mine = dealt()
    mine.ack(("orders", 3, 5))

    mine.die()
    other = table.seat().consume("orders")

    assert attempts(other.sections()) == {offset: 2 for offset in range(20) if offset not in (3, 4)}


def test_who_leaves_gives_back_what_it_had_and_that_does_not_count() -> None:
    table, mine = dealt()

    mine.leave()
    other = table.seat().consume("orders")

    assert attempts(other.sections()) == dict.fromkeys(range(20), 1)


def test_a_message_that_was_handed_out_too_often_goes_to_the_dead_letters() -> None:
    table, mine = dealt()

    for _ in range(5):
        mine.nack(("orders", 7, 9))

    assert [topic for topic, _ in table.letters] == ["$dead.g"] * 2
    assert [msgpack.unpackb(letter) for _, letter in table.letters] == [
        {"topic": "orders", "offset": offset, "attempts": 5, "payload": b"%d" % offset, "format": 0}
        for offset in (7, 8)
    ]
    assert max(attempts(mine.sections()).values()) == 5
    assert (table.groups.listing()[0].lag, table.groups.listing()[0].unacked) == (18, 18)


@pytest.mark.parametrize("end", ["timeout", "death"])
def test_a_message_that_members_die_of_goes_to_the_dead_letters(end: str) -> None:
    table = Table()
    table.publish("orders", b"poison", format=BYTES)

    for _ in range(5):
        mine = table.seat().consume("orders")
        assert len(mine.offsets()) == 1
        if end == "death":
            mine.die()
        else:
            table.wait(31)
            mine.leave()

    ((_, letter),) = table.letters
    assert msgpack.unpackb(letter)["format"] == BYTES
    assert table.groups.listing()[0].lag == 0


def test_a_dead_letter_is_not_buried_again() -> None:
    table = Table()
    table.publish("$dead.g", b"letter")
    table.publish("$dead.other", b"letter")

    mine = table.seat().consume("$dead.*", attempts=1)
    mine.nack(("$dead.g", 0, 1), ("$dead.other", 0, 1))

    assert (table.letters, table.groups.listing()[0].lag) == ([], 0)


def test_a_dead_letter_that_is_refused_waits() -> None:
    table, mine = dealt()
    mine.nack(("orders", 0, 20))
    real = table.bury
    refusals = 0

    def refuse(topic: str, payloads: list[bytes]) -> None:
        nonlocal refusals
        refusals += 1
        raise Refused("too_many_topics", "no")

    table.groups._common.publish = refuse
    for _ in range(4):
        mine.nack(("orders", 0, 20))
    refused = list(table.letters)
    table.groups._common.publish = real
    table.wait(1.5)

    assert (refused, refusals, len(table.letters)) == ([], 1, 20)
    assert table.groups.listing()[0].lag == 0


def test_an_ack_of_a_message_that_is_about_to_be_a_dead_letter_counts() -> None:
    table, mine = dealt(durable=True)
    table.drop_memory("orders")
    for _ in range(4):
        mine.nack(("orders", 0, 20))
    table.read = lambda: False  # type: ignore[method-assign]
    table.groups._pages._pages.clear()
    table.shelves._read.clear()

    mine.nack(("orders", 0, 20))
    mine.ack(("orders", 0, 20))
    del table.read
    table.deal()

    assert (table.letters, table.groups.listing()[0].lag) == ([], 0)


def test_what_came_back_and_is_not_kept_any_more_is_a_gap() -> None:
    table, mine = dealt()
    mine.take()
    table.evict("orders", 20)

    mine.nack(("orders", 5, 10))

    assert mine.take() == [Gap(1, "orders", 5, 10, "evicted")]
    assert (table.groups.listing()[0].lag, table.groups.listing()[0].unacked) == (15, 15)


def test_a_dead_letter_whose_message_is_not_kept_any_more_is_a_gap() -> None:
    table, mine = dealt()
    for _ in range(4):
        mine.nack(("orders", 5, 10))
    mine.take()
    table.evict("orders", 20)

    mine.nack(("orders", 5, 10))
    table.deal()
    table.count("orders", 1)
    table.deal()

    gaps = [message for message in mine.take() if isinstance(message, Gap)]
    assert (gaps, table.letters) == ([Gap(1, "orders", 5, 10, "evicted")], [])


def test_nobody_is_handed_a_message_more_often_than_it_allows() -> None:
    table, mine = dealt()
    mine.nack(("orders", 0, 1))
    mine.nack(("orders", 0, 1))
    mine.die()

    other = table.seat().consume("orders", attempts=3)

    assert attempts(other.sections()) == dict.fromkeys(range(1, 20), 2)
    assert len(table.letters) == 1


def test_order_holds_for_one_member_without_returns() -> None:
    table = Table()
    mine = table.seat().consume("orders", max_unacked=7)
    got: list[int] = []

    for number in range(1, 40):
        table.count("orders", number)
        table.deal()
        while new := mine.offsets():
            got += new
            mine.ack(("orders", new[0], new[-1] + 1))

    assert got == list(range(780))
