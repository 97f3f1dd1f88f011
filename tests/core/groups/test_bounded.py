"""No call holds the loop: whatever there is to do is done a part at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import thread_time

from tickwire.core.groups.ledger import OPENS
from tickwire.wire.messages import Consumed, Returned

from .table import Seat, Table

LONGEST = 0.02
SLACK = 3  # a machine that is slower than those which the bound was measured on


def longest(act: Callable[[], object], times: int = 1) -> float:
    """The longest of some calls, in seconds of CPU: this is no measure of what else the machine does."""
    took = []
    gc.freeze()  # what other tests have left is nothing that the collector should look through here
    try:
        for _ in range(times):
            began = thread_time()
            act()
            took.append(thread_time() - began)
    finally:
        gc.unfreeze()
    return max(took)


def one_by_one(table: Table) -> Seat:
    """A member that was handed so many messages, each in a run of its own."""
    mine = table.seat().consume("orders", max_unacked=20_000)
    for _ in range(20_000):
        table.count("orders", 1)
        table.groups.deal(table.now, lambda peer: True)
    return mine


def scattered(table: Table, messages: int = 65_536) -> Seat:
    """A member that has so many messages, each of them a range of its own."""
    mine = table.seat().consume("orders", max_unacked=messages, attempts=1_000)
    for _ in range(messages // 4_096):
        table.count("orders", 4_096)
        table.deal()
    mine.take()
    mine.writable = False
    return mine


def test_a_storm_of_single_returns_is_dealt_a_part_at_a_time() -> None:
    table = Table()
    mine = scattered(table)
    frames = [
        Returned(1, [("orders", offset, offset + 1) for offset in range(first, first + 8_192, 2)])
        for start in (0, 1)
        for first in range(start, 65_536, 8_192)
    ]

    for frame in frames[:8]:
        assert longest(lambda frame=frame: table.groups.returned(mine.peer, frame, table.now)) < LONGEST * SLACK
    mine.writable = True
    assert longest(lambda: table.groups.deal(table.now, lambda peer: True), 100) < LONGEST * SLACK


def test_every_second_message_a_range_of_its_own_is_dealt_a_part_at_a_time() -> None:
    table = Table()
    mine = scattered(table)
    mine.ack(*(("orders", offset, offset + 1) for offset in range(0, 65_536, 2)))

    assert longest(mine.die) < LONGEST * SLACK
    other = table.seat()
    other.writable = False
    other.consume("orders", max_unacked=65_536)
    other.writable = True
    assert longest(lambda: table.groups.deal(table.now, lambda peer: True), 100) < LONGEST * SLACK
    table.deal()
    assert other.offsets() == list(range(1, 65_536, 2))


def test_a_member_that_dies_with_many_single_messages_gives_them_back_in_parts() -> None:
    table = Table()
    mine = one_by_one(table)

    assert longest(lambda: table.groups.leave_all(mine.peer)) < LONGEST * SLACK
    assert longest(lambda: table.groups.deal(table.now, lambda peer: True), 200) < LONGEST * SLACK

    other = table.seat().consume("orders", max_unacked=20_000)
    table.deal()
    assert other.offsets() == list(range(20_000))


def test_many_ack_timeouts_at_once_are_seen_to_in_parts() -> None:
    table = Table()
    mine = one_by_one(table)
    mine.writable = False
    table.now += 60

    assert longest(lambda: table.groups.tick(table.now)) < LONGEST * SLACK
    assert longest(lambda: table.groups.deal(table.now, lambda peer: False), 100) < LONGEST * SLACK
    assert table.groups.listing()[0].unacked == 0


def test_storing_many_ranges_is_put_off_and_not_forgotten() -> None:
    table = Table(durable=True)
    mine = scattered(table)
    table.save()

    calls = 0
    mine.ack(*(("orders", offset, offset + 1) for offset in range(1, 65_536, 2)))
    while table.groups.unsaved:
        assert longest(table.save) < LONGEST * SLACK
        calls += 1

    assert len(table.rows["g", "orders"].settled) == 32_768
    assert 8 < calls < 64


def test_nothing_new_is_handed_out_while_too_many_ranges_are_open() -> None:
    table = Table()
    seats = [table.seat().consume("orders", max_unacked=65_536) for _ in range(5)]
    for _ in range(40):
        table.count("orders", 4_096)
        table.deal()
    has = [seat.offsets() for seat in seats]
    for seat, mine in zip(seats, has, strict=True):
        table.groups.consumed(seat.peer, Consumed(1, [("orders", at, at + 1) for at in mine if at % 2]))

    table.count("orders", 1_000)
    table.deal()
    opens = next(iter(table.groups._groups.values())).books.ledgers["orders"].opens.count
    held_up = seats[0].offsets()
    for seat, mine in zip(seats, has, strict=True):
        table.groups.consumed(seat.peer, Consumed(1, [("orders", at, at + 1) for at in mine if not at % 2]))
    table.deal()

    assert (held_up, opens >= OPENS) == ([], True)
    assert sum(len(seat.offsets()) for seat in seats) == 1_000


def test_dead_letters_are_published_a_part_at_a_time() -> None:
    table = Table()
    mine = table.seat().consume("orders", max_unacked=65_536, attempts=1)
    for _ in range(16):
        table.count("orders", 4_096)
        table.deal()

    table.groups.returned(mine.peer, Returned(1, [("orders", 0, 65_536)]), table.now)
    assert longest(lambda: table.groups.deal(table.now, lambda peer: True), 40) < LONGEST * SLACK
    table.deal()

    assert len(table.letters) == 65_536


def test_a_hole_under_many_ranges_is_told_of_a_part_at_a_time() -> None:
    table = Table()
    mine = scattered(table)
    mine.ack(*(("orders", offset, offset + 1) for offset in range(0, 65_536, 2)))
    table.evict("orders", 65_536)
    mine.die()
    other = table.seat()
    other.writable = False
    other.consume("orders")

    assert longest(lambda: table.groups.deal(table.now, lambda peer: True), 100) < LONGEST * SLACK
    table.deal()

    assert sum(message.end - message.start for message in other.take()) == 32_768  # type: ignore[union-attr, operator]
    assert table.groups.listing()[0].lag == 0


def test_a_thousand_groups_that_have_nothing_to_do_cost_nothing() -> None:
    table = Table()
    mine = table.seat()
    for number in range(1_000):
        mine.consume(f"t{number}", id=number, group=f"g{number}")

    table.count("t7", 1)
    assert longest(lambda: table.groups.deal(table.now, lambda peer: True)) < LONGEST
    assert not table.groups._active
