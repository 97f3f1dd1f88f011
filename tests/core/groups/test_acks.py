"""What members say of messages: acks as ranges, what is wrong with them, and what of them counts all the same."""

from __future__ import annotations

from time import thread_time

import pytest

from tickwire.core.errors import UnknownConsumer
from tickwire.core.groups.errors import AckForeign, AckFuture, AckRefused, AckRepeated, AckUnknown

from .table import Range, Seat, Table


def dealt(messages: int = 20, seats: int = 1, max_unacked: int = 1_000) -> tuple[Table, list[Seat]]:
    table = Table()
    members = [table.seat().consume("orders", max_unacked=max_unacked) for _ in range(seats)]
    table.count("orders", messages)
    table.deal()
    return table, members


def lag(table: Table) -> int:
    return table.groups.listing()[0].lag


def test_acks_in_any_order_and_shape_settle_each_message_once() -> None:
    table, (mine,) = dealt()

    mine.ack(("orders", 5, 6), ("orders", 10, 20))
    mine.ack(("orders", 0, 5))
    mine.ack(("orders", 6, 10))

    assert lag(table) == table.groups.listing()[0].unacked == 0


def test_one_range_covers_what_came_in_several_runs() -> None:
    table, (mine,) = dealt(2_000, max_unacked=2_000)

    mine.ack(("orders", 1, 1_999))

    assert (lag(table), table.groups.listing()[0].unacked) == (2, 2)


@pytest.mark.parametrize(
    ("range", "refusal", "offset"),
    [
        (("orders", 20, 21), AckFuture, 20),
        (("orders", 1 << 52, 1 << 53), AckFuture, 1 << 52),
        (("nothing", 0, 1), AckUnknown, 0),
        (("orders", 0, 12), AckForeign, 10),
        (("orders", 12, 13), AckForeign, 12),
    ],
)
def test_an_ack_of_what_is_not_the_members_is_refused_by_name(
    range: Range, refusal: type[AckRefused], offset: int
) -> None:
    _, (mine, other) = dealt(seats=2)
    assert other.offsets()[0] == 10

    with pytest.raises(refusal) as refused:
        mine.ack(range)

    assert refused.value.details == {"topic": range[0], "offset": offset}


def test_an_ack_that_goes_too_far_counts_for_what_was_handed_out() -> None:
    table, (mine,) = dealt()

    with pytest.raises(AckFuture) as refused:
        mine.ack(("orders", 15, 25))

    assert (refused.value.offset, lag(table)) == (20, 15)


def test_an_ack_below_the_first_that_the_group_was_given_is_unknown() -> None:
    table = Table()
    table.count("orders", 10)
    table.count("orders", 10)
    table.evict("orders", 10)
    mine = table.seat().consume("orders")

    with pytest.raises(AckUnknown) as refused:
        mine.ack(("orders", 8, 12))

    assert (refused.value.offset, lag(table)) == (8, 8)


def test_an_ack_of_what_is_settled_is_repeated() -> None:
    table, (mine,) = dealt()
    mine.ack(("orders", 0, 5))

    with pytest.raises(AckRepeated) as refused:
        mine.ack(("orders", 4, 10))

    assert (refused.value.offset, lag(table)) == (4, 10)


def test_what_is_fine_of_a_frame_counts_and_the_first_that_is_not_is_named() -> None:
    table, (mine, other) = dealt(30, seats=2)
    other.take()

    with pytest.raises(AckForeign) as refused:
        mine.ack(("orders", 0, 20), ("orders", 40, 50), ("nothing", 0, 1))

    assert (refused.value.offset, lag(table)) == (15, 15)
    assert (table.groups.listing()[0].unacked, other.offsets()) == (15, [])


def test_an_ack_without_a_consumer_is_refused() -> None:
    _, (mine,) = dealt()

    with pytest.raises(UnknownConsumer):
        mine.ack(("orders", 0, 1), id=7)


def test_an_ack_after_the_timeout_counts_while_nobody_else_has_it() -> None:
    table, (mine,) = dealt()
    mine.writable = False
    table.wait(31)

    mine.ack(("orders", 0, 20))

    assert (lag(table), table.groups.listing()[0].unacked) == (0, 0)


def test_an_ack_after_another_member_got_it_is_foreign() -> None:
    table, (mine,) = dealt()
    other = table.seat().consume("orders")
    mine.writable = False
    table.wait(31)
    assert other.offsets() == list(range(20))

    with pytest.raises(AckForeign):
        mine.ack(("orders", 0, 20))

    assert lag(table) == 20


def test_an_ack_over_a_new_connection_counts_while_nobody_else_has_it() -> None:
    table, (mine,) = dealt()
    mine.die()
    again = table.seat()
    again.writable = False

    again.consume("orders").ack(("orders", 0, 20))

    assert lag(table) == 0


def test_returning_what_is_not_the_members_is_refused_like_an_ack() -> None:
    table, (mine, _) = dealt(seats=2)

    with pytest.raises(AckForeign):
        mine.nack(("orders", 0, 20), delay_ms=1_000)
    mine.nack(("orders", 3, 5))  # these came back before: there is nothing to do

    assert (lag(table), table.groups.listing()[0].unacked) == (20, 10)


def test_a_member_that_is_wrong_all_the_time_is_not_listened_to_for_long() -> None:
    table, (mine, other) = dealt(2_000, seats=2, max_unacked=2_000)
    other.ack(*(("orders", offset, offset + 1) for offset in other.offsets()[::2]))

    began = thread_time()
    with pytest.raises(AckRefused):
        mine.ack(*[("orders", 0, 1 << 53)] * 8_192)

    assert thread_time() - began < 0.1
    assert 500 < table.groups.listing()[0].unacked < 1_500
