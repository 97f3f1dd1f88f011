"""What the store is told of groups, and what follows from it after a restart."""

from __future__ import annotations

import pytest

from tickwire.core.groups.errors import AckRepeated
from tickwire.core.store import GroupCursor
from tickwire.wire.messages import Gap

from .table import Table


def test_the_store_is_told_of_a_group_once_and_of_what_moved() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    table.count("b", 10)
    mine = table.seat().consume("*")

    first = table.groups.changes()
    nothing = table.groups.changes()
    mine.ack(("a", 0, 3), ("a", 5, 10))
    third = table.groups.changes()

    assert first == ([("g", "*")], [GroupCursor("g", "a", 0, []), GroupCursor("g", "b", 0, [])])
    assert nothing == ([], [])
    assert third == ([], [GroupCursor("g", "a", 3, [(5, 10)])])


def test_topics_that_are_not_on_disk_are_not_stored() -> None:
    table = Table(durable=False)
    table.count("a", 10)
    table.seat().consume("*").ack(("a", 0, 3))

    assert table.groups.changes() == ([("g", "*")], [])
    assert not table.groups.unsaved


def test_after_a_restart_it_goes_on_where_it_stood() -> None:
    table = Table(durable=True)
    table.count("a", 400)
    mine = table.seat().consume("a")
    mine.ack(("a", 0, 100), ("a", 150, 350))
    table.save()

    table.restart()
    lag = [table.deal(), table.groups.listing()[0].lag][1]
    again = table.seat().consume("a")

    assert (lag, again.offsets()) == (100, [*range(100, 150), *range(350, 400)])


def test_attempts_outlive_a_restart_and_what_was_only_handed_out_does_not_count() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    mine = table.seat().consume("a")
    for _ in range(3):
        mine.nack(("a", 4, 6))
    table.save()

    table.restart()
    again = table.seat().consume("a")

    got = [(section.first, len(section.payloads), section.attempt) for section in again.sections()]
    assert got == [(0, 4, None), (4, 2, 4), (6, 4, None)]


def test_what_was_in_the_dead_letters_queue_is_not_handed_out_again() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    mine = table.seat().consume("a", attempts=1)
    real, table.groups._common.publish = table.groups._common.publish, lambda topic, payloads: None
    mine.nack(("a", 4, 6))
    table.rows["g", "a"] = GroupCursor("g", "a", 0, [], [(4, 6, 1)])
    table.names["g"] = "a"
    table.groups._common.publish = real

    table.restart()
    again = table.seat().consume("a", attempts=1)

    assert (again.offsets(), len(table.letters)) == ([0, 1, 2, 3, 6, 7, 8, 9], 2)


def test_acks_of_what_was_settled_before_a_restart_are_repeated() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    table.seat().consume("a").ack(("a", 0, 5))
    table.save()
    table.restart()

    again = table.seat().consume("a")

    with pytest.raises(AckRepeated):
        again.ack(("a", 2, 4))


def test_what_retention_dropped_while_the_broker_was_away_is_a_gap() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    table.count("a", 10)
    table.seat().consume("a").ack(("a", 0, 5))
    table.save()
    table.evict("a", 10)

    table.restart()
    again = table.seat().consume("a")

    gaps = [message for message in again.take() if isinstance(message, Gap)]
    assert gaps == [Gap(1, "a", 5, 10, "evicted")]


def test_where_it_stood_in_a_topic_that_is_gone_is_forgotten() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    table.seat().consume("*").ack(("a", 0, 5))
    table.save()
    table.free("a")

    table.restart()
    table.topics.floor = 100
    again = table.seat().consume("*")
    table.count("a", 3)
    table.deal()

    assert again.offsets() == [100, 101, 102]


def test_a_row_that_is_ahead_of_its_topic_is_cut() -> None:
    table = Table(durable=True)
    table.count("a", 10)
    table.names["g"] = "a"
    table.rows["g", "a"] = GroupCursor("g", "a", 8, [(9, 1 << 50)], [(8, 9, 2)])

    table.restart()
    mine = table.seat().consume("a")
    table.count("a", 1)
    table.deal()

    assert mine.offsets() == [8, 10]


def test_a_place_that_was_not_stored_in_time_is_a_gap_and_not_a_hole() -> None:
    table = Table(durable=True)
    table.seat().consume("a")
    table.save()
    table.count("a", 10)
    table.count("a", 10)
    table.deal()
    table.evict("a", 10)

    table.restart()
    again = table.seat().consume("a")

    assert [message for message in again.take() if isinstance(message, Gap)] == [Gap(1, "a", 0, 10, "evicted")]
