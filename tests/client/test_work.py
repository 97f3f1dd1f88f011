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
)
from tickwire.wire.messages import Group as WireGroup
from tickwire_client import Group, TickwireError
from tickwire_client.errors import Refused
from tickwire_client.ranges import Ranges
from tickwire_client.session import Session
from tickwire_client.work import Delivered, Share, Terms, Work, terms_of

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

    assert said(session) == [Consume(work.id, "o.>", "billing", 100, 30_000, 5)]


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

    assert asked == [Consume(work.id, "o.>", "billing", 100, 30_000, 5)]
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
