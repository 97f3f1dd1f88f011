"""Who gets what: runs in turn, each message to one member, from where the group stands."""

from __future__ import annotations

import pytest

from tickwire.core.groups.errors import BadGroup, GroupConflict, TooManyGroups
from tickwire.wire.limits import BYTES
from tickwire.wire.messages import Delivery, Gap

from .table import Table


def test_a_new_group_begins_with_the_oldest_message_that_is_kept() -> None:
    table = Table()
    table.count("orders", 3)

    mine = table.seat().consume("orders")

    (section,) = mine.sections()
    assert (section.first, section.payloads, section.attempt) == (0, [b"0", b"1", b"2"], None)


def test_a_message_goes_to_one_member_and_a_stretch_is_shared_out() -> None:
    table = Table()
    seats = [table.seat().consume("orders") for _ in range(4)]

    table.count("orders", 100)
    table.deal()

    got = [seat.offsets() for seat in seats]
    assert sorted(offset for each in got for offset in each) == list(range(100))
    assert [len(each) for each in got] == [25, 25, 25, 25]


def test_single_messages_go_to_the_members_in_turn() -> None:
    table = Table()
    seats = [table.seat().consume("orders") for _ in range(3)]

    for _ in range(6):
        table.count("orders", 1)
        table.deal()

    assert [seat.offsets() for seat in seats] == [[0, 3], [1, 4], [2, 5]]


def test_a_member_has_no_more_than_its_window() -> None:
    table = Table()
    table.count("orders", 1_000)

    mine = table.seat().consume("orders", max_unacked=300)
    first = mine.offsets()
    mine.ack(("orders", 10, 30))

    assert first == list(range(300))
    assert mine.offsets() == list(range(300, 320))


def test_runs_are_at_most_256_messages_and_come_in_order() -> None:
    table = Table()
    table.count("orders", 2_000)

    mine = table.seat().consume("orders", max_unacked=2_000)

    sections = mine.sections()
    assert max(len(section.payloads) for section in sections) == 256
    assert [payload for section in sections for payload in section.payloads] == [b"%d" % n for n in range(2_000)]


def test_sections_keep_their_format_and_their_stamp_when_they_are_cut() -> None:
    table = Table()
    table.publish("orders", *[b"x"] * 10, format=BYTES)
    seats = [table.seat() for _ in range(2)]

    seats[0].consume("orders", max_unacked=4)
    seats[1].consume("orders")

    (front,), (rest,) = seats[0].sections(), seats[1].sections()
    assert (front.first, len(front.payloads), front.format, front.stamp) == (0, 4, BYTES, 1)
    assert (rest.first, len(rest.payloads), rest.format, rest.time_us) == (4, 6, BYTES, front.time_us)


def test_who_is_behind_or_cannot_be_written_to_is_passed_over() -> None:
    table = Table()
    slow, behind, quick = (table.seat().consume("orders") for _ in range(3))
    slow.writable = False
    behind.peer.behind = True

    table.count("orders", 10)
    table.deal()

    assert (slow.sent, behind.sent, quick.offsets()) == ([], [], list(range(10)))


def test_when_nobody_can_be_written_to_it_waits() -> None:
    table = Table()
    mine = table.seat().consume("orders")
    mine.writable = False

    table.count("orders", 10)
    dealt = table.deal()
    waited = table.groups.waiting
    mine.writable = True
    table.deal()

    assert (dealt, waited, mine.offsets()) == (False, True, list(range(10)))
    assert not table.groups.waiting


def test_one_connection_may_be_two_members_of_a_group() -> None:
    table = Table()
    mine = table.seat().consume("orders", id=1).consume("orders", id=2)

    table.count("orders", 10)
    table.deal()

    deliveries = [message for message in mine.take() if isinstance(message, Delivery)]
    assert [(message.stream, len(message.sections[0].payloads)) for message in deliveries] == [(1, 5), (2, 5)]


def test_a_pattern_finds_the_topics_that_are_there_and_those_that_come() -> None:
    table = Table()
    for number in range(3_000):
        table.count(f"t.{number}", 1)
    table.count("other", 1)

    mine = table.seat().consume("t.*", max_unacked=10_000)
    found = {section.topic for section in mine.sections()}
    table.count("t.new", 1)
    table.deal()

    assert found == {f"t.{number}" for number in range(3_000)}
    assert [section.topic for section in mine.sections()] == ["t.new"]


def test_two_groups_get_all_of_it_each() -> None:
    table = Table()
    one, two = table.seat().consume("orders", group="one"), table.seat().consume(">", group="two")

    table.count("orders", 10)
    table.deal()

    assert one.offsets() == two.offsets() == list(range(10))


def test_a_group_that_nobody_is_in_keeps_its_place() -> None:
    table = Table()
    table.count("orders", 10)
    mine = table.seat().consume("orders")
    mine.ack(("orders", 0, 10))
    mine.die()

    table.count("orders", 5)
    table.deal()
    lag = table.groups.listing()[0].lag
    other = table.seat().consume("orders")

    assert (lag, other.offsets()) == (5, list(range(10, 15)))


@pytest.mark.parametrize("group", ["a.b", "*", ">", "", "a b", "ü" * 300])
def test_a_group_is_one_segment_of_a_topic(group: str) -> None:
    table = Table()

    with pytest.raises(BadGroup) as refused:
        table.seat().consume("orders", group=group)

    assert refused.value.code == "bad_group"
    assert not table.groups


def test_a_group_has_one_pattern_and_is_live_or_not() -> None:
    table = Table()
    table.seat().consume("orders", group="a").share("orders", id=2, group="b")

    for join in (
        lambda: table.seat().consume("trades", group="a"),
        lambda: table.seat().share("orders", group="a"),
        lambda: table.seat().consume("orders", group="b"),
    ):
        with pytest.raises(GroupConflict):
            join()

    assert [(group.name, group.members) for group in table.groups.listing()] == [("a", 1), ("b", 1)]


def test_there_are_no_more_groups_than_may_be() -> None:
    table = Table(limit=2)
    mine = table.seat().consume("a", id=1, group="one").consume("a", id=2, group="two")

    with pytest.raises(TooManyGroups):
        mine.consume("a", id=3, group="three")

    mine.consume("a", id=4, group="two")
    assert table.groups.has(mine.peer, 4)
    assert not table.groups.has(mine.peer, 3)


def test_lag_is_what_is_not_settled_and_unacked_what_is_out() -> None:
    table = Table()
    table.count("orders", 100)
    mine = table.seat().consume("orders", max_unacked=40)

    mine.ack(("orders", 5, 15))

    (listed,) = table.groups.listing()
    assert (listed.name, listed.pattern, listed.members, listed.lag, listed.unacked) == ("g", "orders", 1, 90, 40)


def test_retention_does_not_wait_and_the_member_that_would_have_got_it_is_told() -> None:
    table = Table()
    mine = table.seat().consume("orders")
    mine.writable = False
    table.count("orders", 10)
    table.count("orders", 10)
    table.evict("orders", 10)

    mine.writable = True
    table.deal()

    gap, delivery = mine.take()
    assert gap == Gap(1, "orders", 0, 10, "evicted")
    assert isinstance(delivery, Delivery)
    assert delivery.sections[0].first == 10
    assert table.groups.listing()[0].lag == 10


def test_what_memory_let_go_of_is_read_from_the_store() -> None:
    table = Table(durable=True)
    for _ in range(50):
        table.count("orders", 100)
    table.drop_memory("orders", keep=100)

    mine = table.seat().consume("orders", max_unacked=10_000)

    assert mine.offsets() == list(range(5_000))


def test_what_the_store_lost_is_a_gap_with_its_reason() -> None:
    table = Table(durable=True)
    for _ in range(3):
        table.count("orders", 10)
    table.drop_memory("orders")
    mine = table.seat()
    real = table.answer

    def damaged(log, cursor):  # type: ignore[no-untyped-def]
        reading = real(log, cursor)
        if cursor < 20:
            reading.sections = [section for section in reading.sections if section.first >= 20]
            reading.gap_end, reading.reason = 20, "corrupt"
        return reading

    table.answer = damaged  # type: ignore[method-assign]
    mine.consume("orders")

    assert [message for message in mine.take() if isinstance(message, Gap)] == [Gap(1, "orders", 0, 20, "corrupt")]
    assert table.groups.listing()[0].unacked == 10


def test_a_freed_topic_is_a_gap_and_one_of_its_name_starts_anew() -> None:
    table = Table()
    mine = table.seat().consume("orders")
    mine.writable = False
    table.count("orders", 10)

    table.free("orders")
    table.count("orders", 5)
    mine.writable = True
    table.deal()

    gap, delivery = mine.take()
    assert gap == Gap(1, "orders", 0, 10, "freed")
    assert isinstance(delivery, Delivery)
    assert delivery.sections[0].first == 10


def test_freed_topics_are_forgotten() -> None:
    table = Table()
    mine = table.seat().consume("t.>")
    for number in range(100):
        table.count(f"t.{number}", 1)
    table.deal()
    offsets = mine.sections()
    mine.ack(*((section.topic, section.first, section.first + 1) for section in offsets))

    for number in range(100):
        table.free(f"t.{number}")
    for _ in range(3):
        table.wait(1)

    (group,) = table.groups._groups.values()
    assert (group.books.ledgers, table.groups._known, mine.take()) == ({}, {}, [])
