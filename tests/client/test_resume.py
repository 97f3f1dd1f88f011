"""Where a subscription stands: it comes level on a stream of its own, and goes on after a lost connection."""

from __future__ import annotations

import pytest

from client.talk import EPOCH, deliver, opened, said, say, section, seen, subscribed
from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.limits import HELLO_BYTES, POSITIONS
from tickwire.wire.messages import End, Gap, Hello, Join, Mark, Refusal, Subscribe, Subscribed, Unsubscribe
from tickwire_client.errors import Refused
from tickwire_client.feed import Feed
from tickwire_client.positions import MAX_POSITIONS
from tickwire_client.session import Session

EARLIEST = ("earliest",)


def reopened(session: Session, epoch: int = EPOCH) -> Subscribe:
    """Lose the connection and open another; returns what the only subscription asks for."""
    session.closed()
    (request,) = opened(session, epoch).subscriptions
    return request


# Streams.


def test_a_catch_up_takes_its_own_stream_until_it_joins_the_live_one() -> None:
    session = Session()
    opened(session)
    other = subscribed(session, "a.*", stamp=9)
    feed = subscribed(session, "a.b", stamp=9, offset=3, stream=1, start=EARLIEST)

    deliver(session, section("a.b", 0, 4, 2), stream=1)
    deliver(session, section("a.b", 3, 10))
    deliver(session, section("a.b", 2, 8), section("a.b", 3, 10), stream=1)
    say(session, Join(feed.id, 10))
    deliver(session, section("a.b", 4, 11))

    assert seen(feed) == [("a.b", 0, 2, None), ("a.b", 2, 3, None), ("a.b", 3, 4, None), ("a.b", 4, 5, None)]
    assert seen(other) == [("a.b", 3, 4, None), ("a.b", 4, 5, None)]


def test_what_comes_live_and_is_no_newer_than_the_join_came_before() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stream=1, start=EARLIEST)

    say(session, Join(feed.id, 10))
    deliver(session, section("a.b", 0, 9), section("a.c", 0, 10), section("a.b", 1, 11))

    assert seen(feed) == [("a.b", 1, 2, None)]


def test_a_stream_that_nobody_has_is_nobodys() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stream=1, start=EARLIEST)

    session.unsubscribe(feed)
    deliver(session, section("a.b", 0, 1), stream=1)
    deliver(session, section("a.b", 0, 1), stream=7)
    say(session, Gap(1, "a.b", 1, 3, "evicted"), Join(feed.id, 3), End(feed.id))

    assert said(session) == [Unsubscribe(feed.id)]
    assert seen(feed) == []


def test_a_history_ends_when_the_broker_says_so() -> None:
    session = Session()
    opened(session)
    feed = session.subscribe("a.b", start=EARLIEST, once=True)
    request = said(session)
    say(session, Subscribed(feed.id, 1, 5, 2))

    deliver(session, section("a.b", 0, 4, 2), stream=1)
    say(session, End(feed.id))

    assert request == [Subscribe(feed.id, "a.b", since=EARLIEST, once=True)]
    assert seen(feed) == [("a.b", 0, 2, None)]
    assert (feed.ended, feed.error) == (True, None)


def test_a_gap_of_a_stream_of_its_own_is_told_in_its_place() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stream=1, start=("offset", EPOCH, 2))

    say(session, Gap(1, "a.b", 2, 5, "corrupt"))
    deliver(session, section("a.b", 5, 3), stream=1)

    assert seen(feed) == [("a.b", 2, 5, "corrupt"), ("a.b", 5, 6, None)]
    assert feed.lost == 3


def test_a_position_that_is_gone_is_a_gap_though_nobody_announced_it() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stream=1, start=("offset", EPOCH, 2))

    deliver(session, section("a.b", 5, 3), stream=1)

    assert seen(feed) == [("a.b", 2, 5, "evicted"), ("a.b", 5, 6, None)]


# Resuming.


def test_a_subscription_that_received_nothing_resumes_from_its_own_stamp() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)

    request = reopened(session)
    say(session, Subscribed(feed.id, 1, 9))
    deliver(session, section("a.b", 0, 5), stream=1)
    say(session, Join(feed.id, 9))

    assert request == Subscribe(feed.id, "a.*", (EPOCH, 4))
    assert seen(feed) == [("a.b", 0, 1, None)]


def test_it_names_its_positions_in_topics_that_moved_since_everything_was_had() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)

    deliver(session, section("a.old", 0, 5))
    say(session, Mark(6))
    deliver(session, section("a.b", 10, 7, 5))

    assert reopened(session) == Subscribe(feed.id, "a.*", (EPOCH, 6), [("a.b", 15)])


def test_what_was_had_and_comes_again_is_not_handed_out_twice() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)
    deliver(session, section("a.b", 0, 5, 3))

    reopened(session)
    say(session, Subscribed(feed.id, 1, 9))
    deliver(session, section("a.b", 0, 5, 3), section("a.b", 3, 6), stream=1)
    deliver(session, section("a.b", 2, 6, 4), stream=1)
    say(session, Join(feed.id, 9))

    assert seen(feed) == [("a.b", 0, 3, None), ("a.b", 3, 4, None), ("a.b", 4, 6, None)]


def test_what_the_broker_kept_no_more_is_counted_from_the_own_position() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)
    deliver(session, section("a.b", 10, 5, 5))
    seen(feed)

    reopened(session)
    say(session, Subscribed(feed.id, 1, 9))
    say(session, Gap(1, "a.b", 12, 20, "evicted"))
    deliver(session, section("a.b", 20, 8), stream=1)

    assert seen(feed) == [("a.b", 15, 20, "evicted"), ("a.b", 20, 21, None)]


def test_seen_is_never_newer_than_what_was_had() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)

    # Catching up goes topic by topic: a new stamp of one says nothing of the others.
    deliver(session, section("a.b", 0, 50))
    assert feed.request().seen == (EPOCH, 4)

    say(session, Mark(50))
    assert feed.request() == Subscribe(feed.id, "a.*", (EPOCH, 50))


def test_a_mark_says_nothing_to_who_still_catches_up() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=4)

    reopened(session)
    say(session, Subscribed(feed.id, 1, 9))
    deliver(session, section("a.b", 0, 5), stream=1)
    say(session, Mark(12))

    assert reopened(session) == Subscribe(feed.id, "a.*", (EPOCH, 4), [("a.b", 1)])
    say(session, Subscribed(feed.id, 1, 13), Join(feed.id, 14))
    assert reopened(session) == Subscribe(feed.id, "a.*", (EPOCH, 14))


def test_a_stamp_that_went_back_is_taken_as_it_is() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=40)

    reopened(session)
    say(session, Subscribed(feed.id, 0, 30))

    assert feed.request().seen == (EPOCH, 30)


def test_a_first_catch_up_that_was_cut_asks_for_its_start_again_but_for_what_it_got() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=9, stream=1, start=EARLIEST)
    deliver(session, section("a.b", 0, 4, 2), stream=1)

    first = reopened(session)
    say(session, Subscribed(feed.id, 1, 12))
    deliver(session, section("a.b", 2, 11), section("a.c", 0, 3), stream=1)
    second = reopened(session)
    say(session, Subscribed(feed.id, 1, 13), Join(feed.id, 13))
    third = reopened(session)

    assert first == Subscribe(feed.id, "a.*", (EPOCH, 9), [("a.b", 2)], EARLIEST)
    assert second == Subscribe(feed.id, "a.*", (EPOCH, 9), [("a.c", 1), ("a.b", 3)], EARLIEST)
    assert third == Subscribe(feed.id, "a.*", (EPOCH, 13))
    assert seen(feed) == [("a.b", 0, 2, None), ("a.b", 2, 3, None), ("a.c", 0, 1, None)]


def test_a_start_that_was_never_confirmed_is_asked_for_as_it_was() -> None:
    session = Session()
    opened(session)
    feed = session.subscribe("a.b", start=("time", 5))

    assert reopened(session) == Subscribe(feed.id, "a.b", since=("time", 5))


def test_an_exact_start_that_was_cut_goes_on_from_its_position() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stamp=9, offset=50, stream=1, start=("offset", EPOCH, 7))

    assert reopened(session) == Subscribe(feed.id, "a.b", (EPOCH, 9), [("a.b", 7)], ("offset", EPOCH, 7))


def test_a_history_that_was_cut_goes_on_and_ends_once() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stamp=9, offset=4, stream=1, start=EARLIEST, once=True)
    deliver(session, section("a.b", 0, 4, 2), stream=1)

    request = reopened(session)
    say(session, Subscribed(feed.id, 1, 9, 4))
    deliver(session, section("a.b", 2, 5, 2), stream=1)
    say(session, End(feed.id))

    assert request == Subscribe(feed.id, "a.b", (EPOCH, 9), [("a.b", 2)], EARLIEST, True)
    assert seen(feed) == [("a.b", 0, 2, None), ("a.b", 2, 4, None)]
    assert feed.ended


def test_a_resume_that_is_refused_ends_with_the_reason() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b")

    reopened(session)
    say(session, Refusal(Subscribe.kind, feed.id, "future_position", "offset 9 of 'a.b' was never given"))

    assert isinstance(feed.error, Refused)
    assert list(session.feeds) == []


# Topics that were freed.


def test_topics_that_were_freed_are_said_to_be_missing_at_once() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*")
    deliver(session, section("a.b", 0, 1))
    seen(feed)

    reopened(session)
    say(session, Subscribed(feed.id, 1, 9), Gap(1, "a.*", None, None, "freed"), Join(feed.id, 9))
    deliver(session, section("a.b", 4, 10))

    assert seen(feed) == [
        ("a.*", None, None, "freed"),
        ("a.b", 1, 4, "freed"),
        ("a.b", 4, 5, None),
    ]


def test_one_topic_that_was_freed_is_a_gap_from_the_own_position() -> None:
    session = Session()
    opened(session)
    heard, unheard = subscribed(session, "a.b"), subscribed(session, "a.c")
    deliver(session, section("a.b", 0, 1, 3))
    seen(heard)

    session.closed()
    opened(session)
    say(session, Subscribed(heard.id, 1, 9, 8), Gap(1, "a.b", None, 7, "freed"))
    say(session, Subscribed(unheard.id, 2, 9, 8), Gap(2, "a.c", None, 7, "freed"))
    deliver(session, section("a.b", 7, 5), stream=1)
    deliver(session, section("a.c", 7, 5), stream=2)

    assert seen(heard) == [("a.b", 3, 7, "freed"), ("a.b", 7, 8, None)]
    assert seen(unheard) == [("a.c", None, 7, "freed"), ("a.c", 7, 8, None)]


def test_offsets_that_moved_on_though_nothing_is_missing_are_told() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", offset=0)
    deliver(session, section("a.b", 0, 1, 3))
    seen(feed)

    reopened(session)
    say(session, Subscribed(feed.id, 0, 9, 8))
    deliver(session, section("a.b", 8, 10))

    assert seen(feed) == [("a.b", 3, 8, "freed"), ("a.b", 8, 9, None)]


# Epochs.


def test_a_new_epoch_is_one_gap_and_then_all_that_it_holds() -> None:
    session = Session()
    opened(session)
    exact, pattern = subscribed(session, "a.b", offset=0), subscribed(session, "a.*")
    deliver(session, section("a.b", 0, 1, 6))
    seen(exact), seen(pattern)

    session.closed()
    hello = opened(session, epoch=EPOCH + 1)
    for stream, feed in enumerate((exact, pattern), 1):
        say(session, Subscribed(feed.id, stream, 3, 2 if feed.exact else None))
        deliver(session, section("a.b", 0, 2, 2), stream=stream)
        say(session, Join(feed.id, 3))
    deliver(session, section("a.b", 2, 4))

    assert hello.subscriptions == [
        Subscribe(exact.id, "a.b", (EPOCH, 0), [("a.b", 6)]),
        Subscribe(pattern.id, "a.*", (EPOCH, 0), [("a.b", 6)]),
    ]
    rest = [("a.b", 0, 2, None), ("a.b", 2, 3, None)]
    assert seen(exact) == [("a.b", 6, None, "epoch"), *rest]
    assert seen(pattern) == [("a.*", None, None, "epoch"), *rest]


def test_a_connection_that_goes_before_the_new_epoch_was_had_asks_for_all_of_it_again() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=30)

    reopened(session, EPOCH + 1)
    before_the_answer = reopened(session, EPOCH + 1)
    say(session, Subscribed(feed.id, 1, 8))
    deliver(session, section("a.b", 0, 5), stream=1)
    on_the_way = reopened(session, EPOCH + 1)

    assert before_the_answer == Subscribe(feed.id, "a.*", (EPOCH + 1, 0))
    assert on_the_way == Subscribe(feed.id, "a.*", (EPOCH + 1, 0), [("a.b", 1)])
    assert seen(feed) == [("a.*", None, None, "epoch"), ("a.b", 0, 1, None)]


@pytest.mark.parametrize("start", [EARLIEST, ("offset", EPOCH, 5)])
def test_a_first_catch_up_in_an_epoch_that_is_over_says_so_once(start: tuple[str | int, ...]) -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stamp=9, stream=1, start=start)

    reopened(session, EPOCH + 1)
    say(session, Subscribed(feed.id, 1, 3, 2))
    if start[0] == "offset":
        say(session, Gap(1, "a.b", None, None, "epoch"))
    deliver(session, section("a.b", 0, 2, 2), stream=1)

    assert [item[3] for item in seen(feed)] == ["epoch", None]
    assert feed.request() == Subscribe(feed.id, "a.b", (EPOCH + 1, 0), [("a.b", 2)])


def test_a_position_of_an_epoch_that_is_over_is_a_gap_from_there() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.b", stamp=9, offset=2, stream=1, start=("offset", EPOCH - 1, 40))

    say(session, Gap(1, "a.b", None, None, "epoch"))
    (gap,) = feed.take()
    deliver(session, section("a.b", 0, 2, 2), stream=1)

    assert (gap.epoch, gap.start, gap.end, gap.reason) == (EPOCH - 1, 40, None, "epoch")  # type: ignore[union-attr]
    assert seen(feed) == [("a.b", 0, 2, None)]
    assert reopened(session) == Subscribe(feed.id, "a.b", (EPOCH, 9), [("a.b", 2)], EARLIEST)


# Bounds.


def test_a_request_that_is_too_large_for_the_hello_follows_it() -> None:
    session = Session()
    opened(session)
    large, small = subscribed(session, "a.>"), subscribed(session, "b.>")
    deliver(session, *[section(f"a.{at}", 0, at + 1) for at in range(2_000)])

    session.closed()
    hello = session.opened()
    first, (follows,) = decode_from_client(hello), said(session)

    assert len(hello) <= HELLO_BYTES
    assert isinstance(first, Hello)
    assert first.subscriptions == [Subscribe(small.id, "b.>", (EPOCH, 0))]
    assert isinstance(follows, Subscribe)
    assert follows.id == large.id
    assert len(follows.positions or ()) == 2_000


@pytest.mark.parametrize(("name", "frame_bytes"), [("x", 1 << 20), ("x" * 200, 1 << 20), ("x" * 200, 4_096)])
def test_a_request_names_no_more_positions_than_a_frame_may_hold(name: str, frame_bytes: int) -> None:
    session = Session()
    opened(session, frame_bytes=frame_bytes)
    feed = subscribed(session, ">")
    for at in range(POSITIONS + 1_000):
        deliver(session, section(f"{name}.{at}", 0, at + 1))

    request = feed.request(frame_bytes)

    assert request.positions is not None
    assert request.positions[0] == (f"{name}.{POSITIONS + 999}", 1)
    assert 0 < len(request.positions) <= POSITIONS
    assert len(encode(request)) <= frame_bytes
    assert decode_from_client(encode(request)) == request


def test_positions_that_a_request_needs_are_never_forgotten() -> None:
    feed = Feed(1, ">")
    feed.subscribed(Subscribed(1, 0, 0), EPOCH)
    positions = feed._positions

    positions.recent.update((f"old.{at}", 1) for at in range(MAX_POSITIONS + 1))
    feed.marked(1)
    positions.recent.update((f"new.{at}", 1) for at in range(MAX_POSITIONS + 1))

    assert len(positions._others) <= MAX_POSITIONS
    assert (positions.get("old.0"), positions.get(f"old.{MAX_POSITIONS}"), positions.get("new.0")) == (None, 1, 1)


def test_what_came_for_another_subscription_is_no_position_of_this_one() -> None:
    session = Session()
    opened(session)
    feed = subscribed(session, "a.*", stamp=7)

    deliver(session, section("a.x", 40, stamp=7))
    deliver(session, section("a.y", 3, stamp=8))
    request = reopened(session)

    assert seen(feed) == [("a.y", 3, 4, None)]
    assert (request.seen, request.positions) == ((EPOCH, 7), [("a.y", 4)])
