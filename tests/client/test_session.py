"""The session: what comes is handed to who asked for it, in order, and what is missing is said."""

from __future__ import annotations

import pytest

from client.talk import EPOCH, deliver, opened, runs, said, say, section, seen, subscribed
from tickwire.wire.errors import BadPattern, PayloadTooLarge, Refused, TooManyMessages, WireError
from tickwire.wire.limits import BYTES, HELLO_BYTES
from tickwire.wire.messages import (
    Ack,
    Consumed,
    Gap,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)
from tickwire_client.errors import OutcomeUnknown, TickwireError
from tickwire_client.messages import Receipt
from tickwire_client.session import Session

Outcomes = list[Receipt | TickwireError | None]


def test_the_first_conversation_of_the_protocol_page() -> None:
    session = Session()
    acknowledged: Outcomes = []

    assert session.opened().hex() == "92019101"
    session.receive(bytes.fromhex("961001cd3039008080"))
    feed = session.subscribe("a.*")
    assert [frame.hex() for frame in session.frames()] == ["930201a3612e2a"]
    session.receive(bytes.fromhex("95110100 00c0".replace(" ", "")))
    session.publish("a.b", b"h", acknowledged.append)
    assert [frame.hex() for frame in session.frames()] == ["9304019192a3612e6291c40168"]
    session.receive(bytes.fromhex("92139192 0100".replace(" ", "")))
    session.receive(bytes.fromhex("9315009195a3612e620001ce3b9aca0092c40168c40169"))

    assert acknowledged == [Receipt("a.b", 12345, 0)]
    (run,) = feed.take()
    assert [(message.payload, message.offset, message.time) for message in run.messages()] == [  # type: ignore[union-attr]
        (b"h", 0, 1000.0),
        (b"i", 1, 1000.0),
    ]


def test_a_section_comes_once_and_goes_to_every_subscription_that_matches() -> None:
    session = Session()
    opened(session)
    exact, pattern, other = (subscribed(session, each) for each in ("a.b", "a.>", "c.*"))

    deliver(session, section("a.b", 0, 1, 3))

    assert seen(exact) == seen(pattern) == [("a.b", 0, 3, None)]
    assert seen(other) == []


def test_a_subscription_gets_nothing_before_it_is_confirmed_and_nothing_after_it_was_given_up() -> None:
    session = Session()
    opened(session)
    feed = session.subscribe("a.*")

    deliver(session, section("a.b", 0, 1))
    say(session, Subscribed(feed.id, 0, 1))
    deliver(session, section("a.b", 1, 2))
    assert seen(feed) == [("a.b", 1, 2, None)]

    said(session)
    session.unsubscribe(feed)
    assert said(session) == [Unsubscribe(feed.id)]
    deliver(session, section("a.b", 2, 3))
    assert seen(feed) == []


def test_a_late_subscription_is_spared_what_an_earlier_one_still_waits_for() -> None:
    session = Session()
    opened(session)
    early = subscribed(session, "a.*")
    deliver(session, section("a.b", 0, 1))
    late = subscribed(session, "a.b", stamp=5, offset=9)

    deliver(session, section("a.b", 1, 2, 8), section("a.b", 9, 6))

    assert seen(early) == [("a.b", 0, 1, None), ("a.b", 1, 9, None), ("a.b", 9, 10, None)]
    assert seen(late) == [("a.b", 9, 10, None)]


def test_a_gap_stands_where_the_broker_said_it() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*")

    deliver(session, section("a.b", 0, 1, 2))
    say(session, Gap(0, "a.b", 2, 5, "evicted"), Gap(0, "a.b", 5, 7, "evicted"))
    deliver(session, section("a.b", 7, 3))

    assert seen(feed) == [("a.b", 0, 2, None), ("a.b", 2, 7, "evicted"), ("a.b", 7, 8, None)]
    assert feed.lost == 5


def test_a_jump_in_the_offsets_is_a_gap_though_nobody_announced_it() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", offset=3)

    deliver(session, section("a.b", 5, 1), section("a.b", 8, 2))

    assert [item[:3] for item in seen(feed)] == [("a.b", 3, 5), ("a.b", 5, 6), ("a.b", 6, 8), ("a.b", 8, 9)]


def test_what_was_had_already_is_not_handed_out_again() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", offset=0)

    deliver(session, section("a.b", 0, 1, 4), section("a.b", 2, 2, 4), section("a.b", 1, 3, 2))

    assert seen(feed) == [("a.b", 0, 4, None), ("a.b", 4, 6, None)]


def test_a_full_buffer_that_drops_says_which_messages() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", max_messages=3, drop=True)

    for at in range(4):
        deliver(session, section("a.b", at * 2, at + 1, 2), section("a.c", at, at + 1))
    assert feed.full
    dropped = [("a.b", 2, 8, "dropped"), ("a.c", 1, 4, "dropped")]
    assert seen(feed) == [("a.b", 0, 2, None), ("a.c", 0, 1, None), *dropped]

    deliver(session, section("a.b", 8, 9))
    assert seen(feed) == [("a.b", 8, 9, None)]
    assert feed.lost == 9


def test_publishes_of_one_turn_share_a_frame_and_each_has_its_receipt() -> None:
    session = Session()
    opened(session)
    outcomes: Outcomes = []

    for topic, payload in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        session.publish(topic, payload, outcomes.append)
    (frame,) = said(session)
    assert frame == Publish(1, [Run("a", [b"1", b"3"]), Run("b", [b"2"])])
    say(session, Ack([[1, 100, 7]]))

    assert outcomes == [Receipt("a", EPOCH, 100), Receipt("a", EPOCH, 101), Receipt("b", EPOCH, 7)]


def test_publishes_that_were_refused_together_are_sent_again_one_by_one() -> None:
    session = Session()
    opened(session)
    good: Outcomes = []
    bad: Outcomes = []

    session.publish("good", b"1", good.append)
    session.publish("bad", b"2", bad.append)
    said(session)
    say(session, Refusal(Publish.kind, 1, "too_many_topics", "the broker holds 5 topics, as many as it may"))
    again = said(session)
    say(session, Ack([[2, 0]]), Refusal(Publish.kind, 3, "too_many_topics", "the broker holds 5 topics"))

    assert again == [Publish(2, [Run("good", [b"1"])]), Publish(3, [Run("bad", [b"2"])])]
    assert good == [Receipt("good", EPOCH, 0)]
    (refused,) = bad
    assert isinstance(refused, Refused)
    assert refused.code == "too_many_topics"


def test_what_was_given_first_leaves_first_whoever_waits_for_it() -> None:
    session = Session()
    opened(session)

    session.post("t", b"1")
    session.publish("t", b"2", lambda _: None)
    session.post("t", b"3")
    session.post("t", b"4", BYTES)
    session.post("t", b"5")
    session.publish_whole(runs(), lambda _: None)

    assert said(session) == [
        Publish(None, [Run("t", [b"1"])]),
        Publish(1, [Run("t", [b"2"])]),
        Publish(None, [Run("t", [b"3"]), Run("t", [b"4"], BYTES), Run("t", [b"5"])]),
        Publish(2, []),
    ]


def test_frames_keep_to_the_limits_of_the_welcome() -> None:
    session = Session()
    opened(session, frame_bytes=4_000, frame_messages=5)

    for at in range(13):
        session.post("t", bytes([at]))
    assert [len(frame.runs[0].payloads) for frame in said(session) if isinstance(frame, Publish)] == [5, 5, 3]

    for _ in range(4):
        session.post("t", bytes(1_500))
    assert max(map(len, session.frames())) < 4_000
    assert session.outbox.bytes == 0


def test_what_was_sent_when_the_connection_went_has_an_unknown_outcome_and_the_rest_waits() -> None:
    session = Session()
    opened(session)
    sent: Outcomes = []
    waiting: Outcomes = []

    session.publish("t", b"1", sent.append)
    said(session)
    session.publish("t", b"2", waiting.append)
    session.closed()

    assert isinstance(sent[0], OutcomeUnknown)
    assert waiting == []
    opened(session)
    assert said(session) == [Publish(2, [Run("t", [b"2"])])]


def test_a_publish_nobody_waits_for_any_more_is_never_sent() -> None:
    session = Session()
    entry = session.publish("t", b"1", lambda _: None)

    assert entry.abandon() is False
    opened(session)

    assert said(session) == []


def test_publishes_wait_for_the_welcome() -> None:
    session = Session()
    session.post("t", b"1")

    session.opened()
    assert said(session) == []

    say(session, Welcome(1, EPOCH, 0, {}, {}))
    assert said(session) == [Publish(None, [Run("t", [b"1"])])]


def test_what_the_broker_would_refuse_is_refused_before_it_is_sent() -> None:
    session = Session()
    opened(session, payload_bytes=10, frame_messages=2, frame_bytes=500)

    for topic, payload, code in (("a..b", b"", "bad_topic"), ("$sys", b"", "reserved_topic")):
        with pytest.raises(Refused) as refused:
            session.post(topic, payload)
        assert refused.value.code == code
    with pytest.raises(PayloadTooLarge):
        session.publish("t", bytes(11), lambda _: None)
    with pytest.raises(BadPattern):
        session.subscribe("a.>.b")
    with pytest.raises(TooManyMessages):
        session.publish_whole(runs(*[("t", b"")] * 3), lambda _: None)
    with pytest.raises(Refused, match="frame_bytes"):
        session.publish_whole(runs(("a", b""), ("b", b"")), lambda _: None)
    assert said(session) == []


def test_a_refusal_nobody_waits_for_is_told() -> None:
    session = Session()
    told: list[tuple[str, str]] = []
    session.on_refused = lambda what, error: told.append((what, error.code))
    opened(session)

    say(session, Refusal(Publish.kind, None, "too_many_topics", "no more"))
    say(session, Refusal(Consumed.kind, 9, "ack_repeated", "these are settled"))

    assert told == [("a publish_nowait", "too_many_topics"), ("an acknowledgment", "ack_repeated")]


def test_a_subscription_that_is_refused_ends_with_the_reason() -> None:
    session = Session()
    opened(session)
    feed = session.subscribe("a.*")
    answers: list[TickwireError | None] = []
    feed.settled = answers.append

    say(session, Refusal(Subscribe.kind, feed.id, "too_many_subscriptions", "no more"))

    assert feed.ended
    assert answers == [feed.error]
    assert isinstance(feed.error, Refused)


def test_a_hello_holds_no_more_subscriptions_than_it_may() -> None:
    session = Session(token="t" * 100)
    for at in range(1_000):
        session.subscribe(f"topic.{at}." + "x" * 40)

    hello = session.opened()
    rest = said(session)

    assert len(hello) <= HELLO_BYTES
    assert all(isinstance(message, Subscribe) for message in rest)
    assert {message.id for message in rest if isinstance(message, Subscribe)} < {feed.id for feed in session.feeds}
    assert len(rest) > 100


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("", "frame"),
        ("c1", "frame"),
        ("931500c0", "DELIVERY"),
        ("9315009195a161000101", "frame"),
        ("93150091c0", "section"),
        ("9315009195a1610001019101", "bin"),
        ("93150091 95a16120ff0191c400".replace(" ", ""), "2^53"),
        ("9213919109", "not awaited"),
    ],
)
def test_a_frame_that_breaks_the_protocol_raises(frame: str, text: str) -> None:
    session = Session()
    opened(session)

    with pytest.raises(WireError, match=text.replace("^", r"\^")):
        session.receive(bytes.fromhex(frame))


def test_frames_and_fields_of_a_later_version_are_ignored() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a")

    session.receive(bytes.fromhex("927f01"))
    session.receive(bytes.fromhex("9415009197a161000101 91c40168 c0c2c3".replace(" ", "")))

    assert seen(feed) == [("a", 0, 1, None)]


def test_what_is_older_than_a_subscription_is_not_handed_to_it() -> None:
    session = Session()
    opened(session)
    early = subscribed(session, "a.>")
    late = subscribed(session, "a.*", stamp=5)

    deliver(session, section("a.b", 0, 4, 2), section("a.b", 2, 5, 2), section("a.b", 4, 6))

    assert seen(early) == [("a.b", 0, 2, None), ("a.b", 2, 4, None), ("a.b", 4, 5, None)]
    assert seen(late) == [("a.b", 4, 5, None)]


def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    session = Session()
    entries = [session.publish("a", bytes([at]), lambda outcome: None) for at in range(6)]

    for at in (0, 3):
        assert session.outbox.abandon(entries[at]) is False
    opened(session)

    assert said(session) == [Publish(1, [Run("a", [b"\x01", b"\x02", b"\x04", b"\x05"])])]
    assert session.outbox.abandon(entries[1]) is True


def test_what_nobody_waits_for_any_more_does_not_stay_in_memory() -> None:
    session = Session()
    session.post("a", b"posted")
    kept = session.publish("a", b"kept", lambda outcome: None)

    for _ in range(1_000):
        session.outbox.abandon(session.publish("a", bytes(1_000), lambda outcome: None))
        session.outbox.abandon(session.publish_whole(runs(("a", bytes(1_000))), lambda error: None))

    assert len(session.outbox._waiting) <= 6
    opened(session)
    assert said(session) == [Publish(None, [Run("a", [b"posted"])]), Publish(1, [Run("a", [b"kept"])])]
    assert kept.sent


def test_a_payload_that_fits_no_frame_is_refused_before_it_is_sent() -> None:
    session = Session()
    outcomes: Outcomes = []
    opened(session, frame_bytes=4096)

    with pytest.raises(PayloadTooLarge) as refused:
        session.publish("topic", bytes(4_090), outcomes.append, BYTES)
    limit = refused.value.limit
    with pytest.raises(PayloadTooLarge):
        session.post("topic", bytes(limit + 1), BYTES)
    session.publish("topic", bytes(limit), outcomes.append, BYTES)

    (frame,) = session.frames()
    assert 4_080 < len(frame) <= 4_096


def test_what_was_given_for_a_broker_with_larger_frames_is_refused_where_it_fits_no_more() -> None:
    session = Session()
    outcomes: Outcomes = []
    session.publish("a", bytes(5_000), outcomes.append)
    session.publish("a", b"small", outcomes.append)

    opened(session, frame_bytes=4_096)

    assert said(session) == [Publish(1, [Run("a", [b"small"])])]
    (outcome,) = outcomes
    assert isinstance(outcome, Refused)
    assert outcome.code == "frame_too_large"


@pytest.mark.parametrize("wrong", [5, None, b"x", ["a"], {"bid": 1}])
def test_what_is_no_topic_is_told_what_one_is(wrong: object) -> None:
    session = Session()

    with pytest.raises(TypeError, match=r"a topic is a str such as 'prices\.AAPL', not"):
        session.post(wrong, b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a pattern is a str such as 'prices\.AAPL' or 'prices\.\*', not"):
        session.subscribe(wrong)  # type: ignore[arg-type]
