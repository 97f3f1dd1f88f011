"""Live queue groups: from now on, each message to one member, and what was handed out is done with."""

from __future__ import annotations

import pytest

from tickwire.core.groups.errors import AckRepeated
from tickwire.wire.messages import Delivery, Gap

from .table import Table


def test_it_begins_with_what_comes_next() -> None:
    table = Table()
    table.count("jobs", 10)

    mine = table.seat().share("jobs")
    table.deal()
    table.count("jobs", 3)
    table.count("jobs", 2)
    table.deal()

    assert mine.offsets() == [10, 11, 12, 13, 14]


def test_it_gets_new_topics_from_their_first_message() -> None:
    table = Table()
    mine = table.seat().share("jobs.*")

    table.count("jobs.a", 3)
    table.deal()

    assert mine.offsets() == [0, 1, 2]


def test_members_share_and_nothing_comes_twice() -> None:
    table = Table()
    one, two = table.seat().share("jobs"), table.seat().share("jobs")

    table.count("jobs", 10)
    table.deal()
    got = one.offsets(), two.offsets()
    one.die()

    assert got == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert (two.take(), table.groups.listing()[0].lag) == ([], 0)


def test_who_cannot_be_written_to_is_passed_over_and_what_is_evicted_meanwhile_is_a_gap() -> None:
    table = Table()
    one, two = table.seat().share("jobs"), table.seat().share("jobs")
    one.writable = two.writable = False
    table.count("jobs", 10)
    table.count("jobs", 4)
    table.deal()
    table.evict("jobs", 10)

    two.writable = True
    table.deal()

    gap, delivery = two.take()
    assert (gap, one.sent) == (Gap(1, "jobs", 0, 10, "evicted"), [])
    assert isinstance(delivery, Delivery)
    assert delivery.sections[0].first == 10


def test_it_stores_nothing_and_is_forgotten_with_its_last_member() -> None:
    table = Table(durable=True)
    mine = table.seat().share("jobs")
    table.count("jobs", 3)
    table.deal()

    changes = table.groups.changes()
    mine.leave()

    assert (changes, table.groups.listing(), bool(table.groups)) == (([], []), [], False)


def test_one_of_the_same_name_begins_anew() -> None:
    table = Table()
    table.seat().share("jobs").leave()
    table.count("jobs", 3)

    mine = table.seat().share("jobs")
    table.count("jobs", 2)
    table.deal()

    assert mine.offsets() == [3, 4]


def test_there_is_nothing_to_ack() -> None:
    table = Table()
    mine = table.seat().share("jobs")
    table.count("jobs", 3)
    table.deal()

    with pytest.raises(AckRepeated):
        mine.ack(("jobs", 0, 1))
