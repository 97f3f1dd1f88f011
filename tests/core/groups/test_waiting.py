"""How much a member is handed, and how long it may have it: windows that change, and time that begins anew."""

from __future__ import annotations

import pytest

from tickwire.core.errors import UnknownConsumer
from tickwire.core.groups.errors import AckForeign, AckRepeated

from .table import Seat, Table, offsets_of


def dealt(messages: int = 20, max_unacked: int = 1_000) -> tuple[Table, Seat]:
    table = Table()
    mine = table.seat().consume("orders", max_unacked=max_unacked)
    table.count("orders", messages)
    table.deal()
    return table, mine


def attempts(seat: Seat) -> dict[int, int]:
    """The attempt that each offset came with."""
    return {offset: section.attempt or 1 for section in seat.sections() for offset in offsets_of([section])}


@pytest.mark.parametrize(("waiting", "attempt"), [(None, 2), (True, 1)])
def test_what_is_extended_in_time_comes_back_later_and_counts_unless_it_waited(
    waiting: bool | None, attempt: int
) -> None:
    table, mine = dealt()
    mine.take()
    table.wait(20)
    mine.extend(("orders", 5, 10), waiting=waiting)

    table.wait(11)
    first = attempts(mine)
    table.wait(20)

    assert first == {offset: 2 for offset in range(20) if not 5 <= offset < 10}
    assert attempts(mine) == dict.fromkeys(range(5, 10), attempt)


def test_what_waited_counts_once_it_is_said_to_be_worked_on() -> None:
    table, mine = dealt()
    mine.take()
    mine.extend(("orders", 0, 20), waiting=True)
    mine.extend(("orders", 0, 1))

    table.wait(31)

    assert attempts(mine) == {0: 2} | dict.fromkeys(range(1, 20), 1)


def test_what_waited_counts_where_the_connection_goes() -> None:
    """Or a message that its member dies of at once, before it could say that it has it, would go round for ever."""
    table, mine = dealt()
    mine.extend(("orders", 0, 20), waiting=True)

    mine.die()

    assert attempts(table.seat().consume("orders")) == dict.fromkeys(range(20), 2)


def test_what_may_not_be_extended_is_refused_by_name_and_the_rest_is_extended() -> None:
    table, mine = dealt(600)
    other = table.seat().consume("orders")
    table.count("orders", 20)
    table.deal()
    theirs = other.offsets()
    mine.ack(("orders", 3, 4))
    mine.take()
    table.wait(20)

    with pytest.raises(AckRepeated):
        mine.extend(("orders", 0, 6))
    with pytest.raises(AckForeign):
        mine.extend(("orders", theirs[0], theirs[-1] + 1))
    with pytest.raises(UnknownConsumer):
        mine.extend(("orders", 0, 1), id=9)
    table.wait(11)

    back = attempts(mine).keys() | attempts(other).keys()
    assert set(range(6)).isdisjoint(back)
    assert back == (set(range(6, 610)) | set(theirs)) - {3}


def test_what_came_back_is_not_extended() -> None:
    table, mine = dealt(max_unacked=20)
    mine.take()
    mine.writable = False
    table.wait(31)

    mine.extend(("orders", 0, 20))
    mine.writable = True
    table.wait(0.1)

    assert attempts(mine) == dict.fromkeys(range(20), 2)


def test_what_one_let_run_out_goes_to_another() -> None:
    table, hangs = dealt(6, max_unacked=3)
    other = table.seat().consume("orders", max_unacked=3)
    hangs.take()
    other.ack(("orders", 3, 6))
    other.take()

    table.wait(31)
    taken_over = attempts(other)
    table.count("orders", 3)
    table.deal()
    none = hangs.offsets()
    other.ack(("orders", 0, 3))
    last = attempts(other)

    assert (taken_over, none, last) == ({0: 2, 1: 2, 2: 2}, [], {6: 1, 7: 1, 8: 1})


def test_one_alone_gets_again_what_it_let_run_out() -> None:
    table, mine = dealt(2)
    mine.take()

    table.wait(31)

    assert attempts(mine) == {0: 2, 1: 2}


def test_a_window_that_grows_is_filled_at_once() -> None:
    _, mine = dealt(40, max_unacked=4)
    before = mine.offsets()

    mine.resize(10)

    assert (before, mine.offsets()) == ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])


def test_a_window_that_shrinks_takes_nothing_away_and_gives_nothing_until_there_is_room() -> None:
    _, mine = dealt(40, max_unacked=10)
    mine.take()

    mine.resize(2)
    mine.ack(("orders", 0, 8))
    none = mine.offsets()
    mine.ack(("orders", 8, 9))

    assert (none, mine.offsets()) == ([], [10])


def test_a_window_of_nobody_is_refused() -> None:
    _, mine = dealt()

    with pytest.raises(UnknownConsumer):
        mine.resize(5, id=9)
