"""What a group's members share: work that is acknowledged, and a live queue."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from client.talk import EPOCH, deliver, opened, runs, said, say, section, seen
from tickwire.wire.limits import RANGES
from tickwire.wire.messages import (
    Ack,
    Consume,
    Consumed,
    Delivery,
    Extended,
    Gap,
    Groups,
    List,
    Publish,
    Refusal,
    Returned,
    Section,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Window,
)
from tickwire.wire.messages import Group as WireGroup
from tickwire_client import Group, TickwireError
from tickwire_client.errors import Refused
from tickwire_client.holding import TICKS
from tickwire_client.pace import FIRST
from tickwire_client.ranges import Ranges
from tickwire_client.session import Session
from tickwire_client.share import Share
from tickwire_client.work import Delivered, Terms, Work, terms_of

TERMS = Terms("billing", 100, 30.0, 5)


def consuming(session: Session, stream: int = 1) -> Work:
    work = session.consume("o.>", TERMS)
    said(session)
    say(session, Subscribed(work.id, stream, 0))
    return work


def taken(work: Work) -> list[Delivered]:
    messages: list[Delivered] = []
    for item in work.take():
        assert not hasattr(item, "reason")
        messages += item.messages()  # type: ignore[arg-type, union-attr]
    return messages


def ack(work: Work, messages: Sequence[Delivered]) -> None:
    for message in messages:
        work.ack([message])


def test_a_consumer_is_asked_for_on_its_terms() -> None:
    session = Session()
    opened(session)

    work = session.consume("o.>", TERMS)

    assert said(session) == [Consume(work.id, "o.>", "billing", FIRST, 30_000, 5)]


def test_acknowledgments_of_one_turn_are_ranges_in_one_frame() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 4), section("o.b", 7, 1, 2), stream=1)
    messages = taken(work)

    ack(work, [messages[at] for at in (3, 0, 1, 4, 5)])

    assert said(session) == [Consumed(work.id, [("o.a", 0, 2), ("o.a", 3, 4), ("o.b", 7, 9)])]
    assert said(session) == []


def test_what_is_given_back_is_told_with_its_delay() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 4), stream=1)
    messages = taken(work)

    work.ack(messages[:1])
    for message, delay in zip(messages[1:], (0.0, 0.5, 0.5), strict=True):
        work.nack(message, delay)

    assert said(session) == [
        Consumed(work.id, [("o.a", 0, 1)]),
        Returned(work.id, [("o.a", 1, 2)]),
        Returned(work.id, [("o.a", 2, 4)], 500),
    ]
    for delay in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="seconds from 0 on"):
            work.nack(messages[0], delay)


def test_a_message_comes_as_often_as_the_broker_hands_it_out() -> None:
    session = Session()
    opened(session)
    work = consuming(session)

    deliver(session, section("o.a", 5, 1, 2), section("o.a", 2, 1), stream=1)
    say(session, Delivery(1, [Section("o.a", 5, 1, 1, [b"\x01"], attempt=2)]))

    assert [(message.offset, message.attempt) for message in taken(work)] == [(5, 1), (6, 1), (2, 1), (5, 2)]


def test_a_gap_of_its_stream_is_told() -> None:
    session = Session()
    opened(session)
    work = consuming(session)

    say(session, Gap(1, "o.a", 2, 5, "evicted"))

    assert seen(work) == [("o.a", 2, 5, "evicted")]
    assert work.lost == 3


def test_after_a_lost_connection_it_is_asked_for_again_and_old_acknowledgments_are_dropped() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 4), stream=1)
    messages = taken(work)
    ack(work, messages[:1])
    deliver(session, section("o.a", 4, 1), stream=1)
    say(session, Gap(1, "o.b", 0, 3, "evicted"))

    session.closed()
    opened(session)
    asked = said(session)
    ack(work, messages[1:3])
    work.nack(messages[3], 0.0)
    say(session, Subscribed(work.id, 2, 0))
    deliver(session, section("o.a", 0, 1, 2), stream=2)

    assert asked == [Consume(work.id, "o.>", "billing", FIRST, 30_000, 5)]
    assert said(session) == []
    assert work.stale_acks == 4
    assert seen(work) == [("o.b", 0, 3, "evicted"), ("o.a", 0, 2, None)]
    assert work.lost == 3


def test_closing_says_what_was_acknowledged_before_it_says_that_it_goes() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 2), stream=1)
    messages = taken(work)

    ack(work, messages[:1])
    session.unsubscribe(work)
    with pytest.raises(TickwireError, match="is closed: what it had not acknowledged went back"):
        ack(work, messages[1:])

    assert said(session) == [Consumed(work.id, [("o.a", 0, 1)]), Unsubscribe(work.id)]


def test_leaving_says_what_was_acknowledged_first() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1), stream=1)

    ack(work, taken(work))
    session.give_up(TickwireError("over"))
    session.bye("over")

    assert [type(frame).__name__ for frame in said(session)] == ["Consumed", "Bye"]


def test_a_flush_leaves_behind_the_acknowledgments_and_tells_when_they_may_be_lost() -> None:
    session = Session(identity=("me", 1))
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1), stream=1)
    outcomes: list[TickwireError | None] = []

    session.publish_whole(runs(), outcomes.append)
    ack(work, taken(work))
    assert said(session) == [Consumed(work.id, [("o.a", 0, 1)]), Publish(1, [])]

    session.closed()
    opened(session)
    said(session)
    say(session, Ack([[2]]))
    assert [type(outcome).__name__ for outcome in outcomes] == ["OutcomeUnknown"]


def test_a_consumer_that_is_refused_ends_with_the_reason() -> None:
    session = Session()
    opened(session)
    work = session.consume("o.>", TERMS)

    say(session, Refusal(Consume.kind, work.id, "group_conflict", "the group consumes another pattern"))

    assert isinstance(work.error, Refused)
    assert work.error.code == "group_conflict"


def test_another_epoch_is_told_to_a_consumer() -> None:
    session = Session()
    opened(session)
    work = consuming(session)

    session.closed()
    opened(session, EPOCH + 1)
    say(session, Subscribed(work.id, 1, 0))
    deliver(session, section("o.a", 0, 1), stream=1)

    assert seen(work) == [("o.>", None, None, "epoch"), ("o.a", 0, 1, None)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": ""},
        {"group": "x" * 65},
        {"group": "a\nb"},
        {"max_unacked": 0},
        {"max_unacked": 1.5},
        {"max_unacked": 1_000_001},
        {"attempts": 1_001},
        {"ack_timeout": 86_401},
        {"ack_timeout": float("nan")},
        {"ack_timeout": 0},
        {"attempts": -1},
        {"attempts": True},
    ],
)
def test_terms_that_cannot_be_are_told(wrong: dict[str, object]) -> None:
    terms = {"group": "g", "max_unacked": 1, "ack_timeout": 1.0, "attempts": 1} | wrong

    with pytest.raises(ValueError, match=next(iter(wrong))):
        terms_of(**terms)  # type: ignore[arg-type]


# How much it asks for, and for how long it may have that.


def taking(work: Work, messages: Sequence[Delivered]) -> list[bool]:
    """The application wants these, one by one: which of them it gets."""
    return [work.took(message.handed, message._index + 1) for message in messages]


def test_what_still_waits_is_extended_while_the_application_goes_on_taking() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 3), section("o.b", 7, 1, 2), stream=1)
    messages = taken(work)
    told: list[object] = []

    for message in messages[:4]:
        assert taking(work, [message]) == [True]
        for _ in range(2):
            work.tick()
        told += said(session)

    assert told == [
        Extended(work.id, [("o.a", 1, 3), ("o.b", 7, 9)], True),
        Extended(work.id, [("o.a", 2, 3), ("o.b", 7, 9)], True),
        Extended(work.id, [("o.a", 1, 2)]),  # it has the second message now
        Extended(work.id, [("o.b", 7, 9)], True),
        Extended(work.id, [("o.a", 2, 3)]),
        Extended(work.id, [("o.b", 8, 9)], True),
        Extended(work.id, [("o.b", 7, 8)]),
    ]


def test_what_an_application_that_takes_nothing_any_more_has_not_seen_lapses() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 3), stream=1)
    messages = taken(work)
    taking(work, messages[:1])

    for _ in range(2 * TICKS):
        work.tick()
    extended = said(session)
    taken_late = taking(work, messages[1:])
    deliver(session, section("o.a", 3, 1, 2), stream=1)

    assert extended == [Extended(work.id, [("o.a", 1, 3)], True)]
    assert taken_late == [False, False]
    assert [message.offset for message in taken(work)] == [3, 4]
    assert work.holding.open == 2


def test_a_section_that_lapsed_before_it_was_taken_is_not_handed_out() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 3), stream=1)

    for _ in range(2 * TICKS):
        work.tick()

    assert taken(work) == []


def test_what_is_in_progress_is_extended_until_it_is_settled() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, 2), stream=1)
    messages = taken(work)
    taking(work, messages)

    for _ in range(3 * TICKS):
        work.tick()
        work.extend(messages[0])
    extended = said(session)
    ack(work, messages)

    assert extended == [Extended(work.id, [("o.a", 0, 1)])]
    assert said(session) == [Consumed(work.id, [("o.a", 0, 2)])]
    assert work.holding.open == 0
    session.unsubscribe(work)
    with pytest.raises(TickwireError, match="is closed"):
        work.extend(messages[0])


def test_an_application_that_works_quickly_is_given_more_and_one_that_collects_is_not_stuck() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, FIRST), stream=1)
    messages = taken(work)

    work.pace.gave(FIRST, 10.0)
    ack(work, messages[:1])
    work.asked(10.001, 1.0)
    quick = said(session)
    work.starved()
    not_all = said(session)
    deliver(session, section("o.a", FIRST, 1, FIRST + 1), stream=1)
    work.starved()

    assert quick == [Window(work.id, 2 * FIRST), Consumed(work.id, [("o.a", 0, 1)])]
    assert not_all == []
    assert said(session) == [Window(work.id, 4 * FIRST)]


def test_over_another_connection_it_asks_for_as_much_as_before() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    deliver(session, section("o.a", 0, 1, FIRST), stream=1)
    work.starved()

    session.closed()
    opened(session)
    (asked,) = said(session)

    assert asked == Consume(work.id, "o.>", "billing", 2 * FIRST, 30_000, 5)
    assert work.holding.open == 0


def test_what_is_held_is_kept_track_of_however_many_come_and_go() -> None:
    session = Session()
    opened(session)
    work = consuming(session)
    left: list[Delivered] = []
    for offset in range(0, 20_000, 2):
        deliver(session, section("o.a", offset, 1, 2), stream=1)
        first, second = taken(work)
        taking(work, [first, second])
        ack(work, [first])
        ack(work, [first])  # once more, which settles nothing
        if offset % 1_000:
            ack(work, [second])
        else:
            left.append(second)

    assert work.holding.open == len(left) == 20
    assert len(work.holding._held) < 1_000
    ack(work, left)
    assert work.holding.open == 0


# A live queue group.


def shared(session: Session) -> Share:
    share = session.share("q.*", "workers")
    assert said(session) == [Subscribe(share.id, "q.*", group="workers")]
    say(session, Subscribed(share.id, 1, 0))
    return share


def test_a_member_of_a_live_group_gets_its_share_and_no_gaps_for_the_rest() -> None:
    session = Session()
    opened(session)
    share = shared(session)

    deliver(session, section("q.a", 0, 1), section("q.a", 7, 2, 2), stream=1)
    deliver(session, section("q.a", 1, 3), stream=0)

    assert seen(share) == [("q.a", 0, 1, None), ("q.a", 7, 9, None)]


def test_a_member_of_a_live_group_comes_back_as_one() -> None:
    session = Session()
    opened(session)
    share = shared(session)

    session.closed()

    assert opened(session).subscriptions == [Subscribe(share.id, "q.*", group="workers")]


# Ranges.


def test_ranges_are_as_few_as_can_be_and_a_frame_holds_no_more_than_it_may() -> None:
    ranges = Ranges()
    for offset in range(0, RANGES * 2 + 10, 2):
        ranges.add("t", offset)
    for offset in (5, 3, 4, 4):
        ranges.add("t", offset)

    first, second = ranges.parts()

    assert first[:3] == [("t", 0, 1), ("t", 2, 7), ("t", 8, 9)]
    assert (len(first), len(second)) == (RANGES, 3)
    assert (first[-1], second[0]) == (("t", RANGES * 2 + 2, RANGES * 2 + 3), ("t", RANGES * 2 + 4, RANGES * 2 + 5))


# The list of groups.


def test_the_groups_are_listed_over_whichever_connection_answers() -> None:
    session = Session()
    opened(session)
    listed: list[object] = []
    id = session.list_groups(listed.append)
    assert said(session) == [List(id)]

    session.closed()
    opened(session)
    assert said(session) == [List(id)]
    say(session, Groups(id, [WireGroup("billing", "o.>", 2, 10, 3)]), Groups(id, []))

    assert listed == [[Group("billing", "o.>", 2, 10, 3)]]


def test_a_list_that_is_refused_or_given_up_is_told() -> None:
    session = Session()
    opened(session)
    outcomes: list[object] = []
    refused, forgotten, over = (session.list_groups(outcomes.append) for _ in range(3))

    say(session, Refusal(List.kind, refused, "unknown_kind", "this broker has no groups"))
    session.unlist(forgotten)
    say(session, Groups(forgotten, []))
    session.give_up(TickwireError("over"))

    assert [str(outcome) for outcome in outcomes] == ["this broker has no groups [unknown_kind]", "over"]
    assert over not in session._lists
