"""A publish whose answer was lost with the connection: the same frame goes again, and is told of once."""

from __future__ import annotations

from client.talk import EPOCH, opened, runs, said, say
from tickwire.wire.messages import Ack, Publish, Refusal, Run
from tickwire_client.errors import OutcomeUnknown, Refused, TickwireError
from tickwire_client.messages import Receipt
from tickwire_client.session import Session

Outcomes = list[Receipt | TickwireError | None]
NAME = ("me", 5)


def published(session: Session, *payloads: bytes, topic: str = "t") -> Outcomes:
    """Publish each in a frame of its own; returns where their outcomes will be."""
    outcomes: Outcomes = []
    for payload in payloads:
        session.publish(topic, payload, outcomes.append)
        said(session)
    return outcomes


def test_the_hello_says_who_publishes() -> None:
    hello = opened(Session(identity=NAME))

    assert (hello.publisher, hello.incarnation) == NAME


def test_each_frame_has_a_growing_sequence_and_what_nobody_waits_for_has_none() -> None:
    session = Session(identity=NAME)
    opened(session)

    session.publish("t", b"1", lambda _: None)
    session.publish("t", b"2", lambda _: None)
    session.post("t", b"3")
    session.publish_whole(runs(("t", b"4")), lambda _: None)
    session.publish_whole(runs(), lambda _: None)

    assert said(session) == [
        Publish(1, [Run("t", [b"1", b"2"])], 1),
        Publish(None, [Run("t", [b"3"])]),
        Publish(2, [Run("t", [b"4"])], 2),
        Publish(3, []),
    ]


def test_what_was_not_answered_is_sent_again_first_and_in_its_order() -> None:
    session = Session(identity=NAME)
    opened(session)
    answered = published(session, b"0")
    say(session, Ack([[1, 100]]))
    outcomes = published(session, b"1", b"2")
    later: Outcomes = []
    session.publish("t", b"3", later.append)

    session.closed()
    opened(session)

    assert said(session) == [
        Publish(4, [Run("t", [b"1"])], 2, True),
        Publish(5, [Run("t", [b"2"])], 3, True),
        Publish(6, [Run("t", [b"3"])], 4),
    ]
    say(session, Ack([[4, 101], [5, 102], [6, 103]]))
    assert answered == [Receipt("t", EPOCH, 100)]
    assert outcomes + later == [Receipt("t", EPOCH, 101 + at) for at in range(3)]


def test_a_connection_that_goes_while_it_is_sent_again_changes_nothing() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes = published(session, b"1", b"2", b"3")

    session.closed()
    opened(session)
    next(session.frames())
    session.closed()
    opened(session)

    assert [(frame.sequence, frame.retry) for frame in said(session) if isinstance(frame, Publish)] == [
        (1, True),
        (2, True),
        (3, True),
    ]
    assert outcomes == []


def test_a_frame_that_goes_again_holds_what_it_held() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes: Outcomes = []
    entries = [session.publish(topic, b"x", outcomes.append) for topic in ("a", "b", "a")]
    (first,) = said(session)
    session.outbox.abandon(entries[0])

    session.closed()
    opened(session)
    (again,) = said(session)

    assert isinstance(first, Publish)
    assert again == Publish(2, first.runs, first.sequence, True)


def test_what_nobody_waits_for_any_more_is_not_sent_again() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes: Outcomes = []
    kept, dropped = (session.publish_whole(runs(("t", name)), outcomes.append) for name in (b"kept", b"dropped"))
    said(session)

    assert session.outbox.abandon(dropped) is True
    session.closed()
    opened(session)

    assert said(session) == [Publish(3, [Run("t", [b"kept"])], 1, True)]
    session.closed()
    assert session.outbox.abandon(kept) is True
    opened(session)
    assert said(session) == []


def test_what_was_sent_stays_in_memory_only_while_somebody_waits() -> None:
    session = Session(identity=NAME)
    opened(session)
    wholes = [session.publish_whole(runs(("t", bytes(100))), lambda _: None) for _ in range(100)]
    said(session)
    session.closed()

    for whole in wholes[:-1]:
        session.outbox.abandon(whole)

    assert len(session.outbox._again) <= 2


def test_another_epoch_makes_the_outcome_unknown_at_once() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes = published(session, b"1")
    waiting: Outcomes = []
    session.publish("t", b"2", waiting.append)

    session.closed()
    assert outcomes == []
    opened(session, EPOCH + 1)

    (outcome,) = outcomes
    assert isinstance(outcome, OutcomeUnknown)
    assert said(session) == [Publish(2, [Run("t", [b"2"])], 2)]


def test_a_broker_that_remembers_no_sequences_is_not_asked_twice() -> None:
    session = Session(identity=NAME)
    opened(session, identity_seconds=0)
    outcomes = published(session, b"1")

    session.closed()

    assert isinstance(outcomes[0], OutcomeUnknown)


def test_a_repeat_that_the_broker_may_have_forgotten_is_not_sent() -> None:
    session = Session(identity=NAME)
    opened(session, identity_seconds=300)
    outcomes: Outcomes = []
    for now in (0.0, 100.0):
        session.publish("t", b"%d" % now, outcomes.append)
        assert len(list(session.frames(now))) == 1

    session.closed()
    opened(session)
    frames = list(session.frames(200.0))

    assert len(frames) == 1
    (outcome,) = outcomes
    assert isinstance(outcome, OutcomeUnknown)


def test_no_more_is_in_flight_than_the_broker_remembers() -> None:
    session = Session(identity=NAME)
    opened(session, identity_frames=2)
    outcomes: Outcomes = []

    for at in range(3):
        session.publish_whole(runs(("t", b"%d" % at)), outcomes.append)
    session.post("t", b"behind")
    assert len(said(session)) == 2

    say(session, Ack([[1, 0]]))
    assert [len(frame.runs) for frame in said(session) if isinstance(frame, Publish)] == [1, 1]


def test_refusals_that_leave_the_outcome_open_say_so() -> None:
    session = Session(identity=NAME)
    opened(session)
    unknown, expired, never_sent_before = published(session, b"1"), published(session, b"2"), None

    say(session, Refusal(Publish.kind, 1, "outcome_unknown", "the store failed"))
    session.closed()
    opened(session)
    said(session)
    say(session, Refusal(Publish.kind, 3, "window_expired", "it is not remembered"))
    never_sent_before = published(session, b"3")
    say(session, Refusal(Publish.kind, 4, "window_expired", "it is not remembered"))

    assert isinstance(unknown[0], OutcomeUnknown)
    assert isinstance(expired[0], OutcomeUnknown)
    assert isinstance(never_sent_before[0], Refused)


def test_messages_refused_together_go_again_under_sequences_of_their_own() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes: Outcomes = []
    for topic in ("good", "bad"):
        session.publish(topic, b"1", outcomes.append)
    said(session)

    say(session, Refusal(Publish.kind, 1, "too_many_topics", "no more"))
    assert said(session) == [Publish(2, [Run("good", [b"1"])], 2), Publish(3, [Run("bad", [b"1"])], 3)]

    session.closed()
    opened(session)
    assert said(session) == [Publish(4, [Run("good", [b"1"])], 2, True), Publish(5, [Run("bad", [b"1"])], 3, True)]


def test_a_repeat_that_fits_no_frame_any_more_has_an_unknown_outcome() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes = published(session, bytes(5_000))

    session.closed()
    opened(session, frame_bytes=4_096)

    assert said(session) == []
    assert isinstance(outcomes[0], OutcomeUnknown)


def test_without_another_connection_what_was_sent_is_unknown_and_what_was_not_is_lost() -> None:
    session = Session(identity=NAME)
    opened(session)
    sent = published(session, b"1")
    waiting: Outcomes = []
    session.publish("t", b"2", waiting.append)

    session.closed()
    session.give_up(TickwireError("over"))

    assert isinstance(sent[0], OutcomeUnknown)
    assert [str(outcome) for outcome in waiting] == ["over"]


def test_what_is_answered_while_the_client_leaves_has_its_receipt() -> None:
    session = Session(identity=NAME)
    opened(session)
    first, second = published(session, b"1"), published(session, b"2")

    session.give_up(TickwireError("over"))
    say(session, Ack([[1, 7]]))
    session.closed()

    assert first == [Receipt("t", EPOCH, 7)]
    assert isinstance(second[0], OutcomeUnknown)


# Flushing.


def flush(session: Session) -> Outcomes:
    outcomes: Outcomes = []
    session.publish_whole(runs(), outcomes.append)
    return outcomes


def test_a_flush_goes_again_and_is_answered_once_all_has_acted() -> None:
    session = Session(identity=NAME)
    opened(session)
    outcomes = published(session, b"1")
    flushed = flush(session)
    said(session)

    session.closed()
    opened(session)

    assert said(session) == [Publish(3, [Run("t", [b"1"])], 1, True), Publish(4, [])]
    say(session, Ack([[3, 0], [4]]))
    assert (outcomes, flushed) == ([Receipt("t", EPOCH, 0)], [None])


def test_a_flush_tells_once_that_posts_may_be_lost() -> None:
    session = Session(identity=NAME)
    opened(session)
    session.post("t", b"1")
    in_flight = flush(session)
    said(session)

    session.closed()
    before = flush(session)
    opened(session)
    said(session)
    say(session, Ack([[2], [3]]))
    after = flush(session)
    said(session)
    say(session, Ack([[4]]))

    assert isinstance(in_flight[0], OutcomeUnknown)
    assert isinstance(before[0], OutcomeUnknown)
    assert after == [None]


def test_posts_that_were_confirmed_by_any_answer_behind_them_are_not_lost() -> None:
    session = Session(identity=NAME)
    opened(session)
    session.post("t", b"1")
    published(session, b"2")
    say(session, Ack([[1, 1]]))

    session.closed()
    flushed = flush(session)
    opened(session)
    said(session)
    say(session, Ack([[2]]))

    assert flushed == [None]


def test_posts_that_were_not_sent_yet_are_not_lost() -> None:
    session = Session(identity=NAME)
    opened(session)
    session.post("t", b"1")

    session.closed()
    flushed = flush(session)
    opened(session)
    assert said(session) == [Publish(None, [Run("t", [b"1"])]), Publish(1, [])]
    say(session, Ack([[1]]))

    assert flushed == [None]


def test_a_flush_outlives_an_epoch() -> None:
    session = Session(identity=NAME)
    opened(session)
    flushed = flush(session)
    said(session)

    session.closed()
    opened(session, EPOCH + 1)
    assert said(session) == [Publish(2, [])]
    say(session, Ack([[2]]))

    assert flushed == [None]
