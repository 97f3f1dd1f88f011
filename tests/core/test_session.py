"""The conversation: what is answered, what is refused and why, and when it cannot go on."""

from __future__ import annotations

import pytest

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.wire.encode import encode
from tickwire.wire.messages import (
    Ack,
    Beat,
    FromBroker,
    Hello,
    Message,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)


def answer(link: Link, message: Message | bytes) -> list[FromBroker]:
    link.send(message)
    link.house.flush()
    return link.take()


def code_of(link: Link, message: Message | bytes) -> tuple[str, int | None, str]:
    (refusal,) = answer(link, message)
    assert isinstance(refusal, Refusal)
    return refusal.code, refusal.id, refusal.text


def test_a_hello_is_answered_with_the_epoch_the_limits_and_what_an_ack_means() -> None:
    house = House(Limits(subscriptions=5))
    link = house.link(greet=False)

    (welcome,) = answer(link, Hello(client="test/1"))

    assert isinstance(welcome, Welcome)
    assert (welcome.version, welcome.epoch) == (1, house.engine.epoch)
    assert welcome.limits["subscriptions"] == 5
    assert welcome.capabilities["ack"] == "memory"


def test_subscriptions_in_the_hello_are_answered_behind_the_welcome() -> None:
    link = House().link(greet=False)

    replies = answer(link, Hello(subscriptions=[Subscribe(1, "a"), Subscribe(2, "a..b"), Subscribe(3, "*")]))

    assert [type(reply) for reply in replies] == [Welcome, Subscribed, Refusal, Subscribed]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Beat(1), "hello_expected"),
        (Publish(1, [Run("a", [b""])]), "hello_expected"),
        (Hello(versions=[2, 3]), "version_unsupported"),
        (b"\xc1", "bad_frame"),
        (b"", "bad_frame"),
        (b"\x92\x63\x01", "hello_expected"),
        (b"\x92\x01\x01", "bad_field"),
        (bytes(20_000), "frame_too_large"),
    ],
)
def test_before_the_welcome_every_refusal_is_a_goodbye(message: Message | bytes, code: str) -> None:
    link = House().link(greet=False)

    with pytest.raises(Goodbye) as goodbye:
        link.send(message)

    assert goodbye.value.code == code


def test_a_second_hello_is_refused_and_the_connection_goes_on() -> None:
    link = House().link()

    assert code_of(link, Hello())[0] == "already_greeted"
    assert answer(link, Publish(1, [Run("a", [b"x"])])) == [Ack([[1, 0]])]


LIMITS = Limits(payload_bytes=100, frame_messages=4, subscriptions=2, topics=3)


@pytest.mark.parametrize(
    ("message", "code", "id", "says"),
    [
        (Subscribe(7, "a."), "bad_pattern", 7, "empty segment"),
        (Subscribe(7, ">.a"), "bad_pattern", 7, "'>'"),
        (Unsubscribe(7), "unknown_subscription", 7, "7"),
        (Publish(8, [Run("a b", [b""])]), "bad_topic", 8, "space"),
        (Publish(8, [Run("a.*", [b""])]), "bad_topic", 8, "wildcard"),
        (Publish(8, [Run("$sys", [b""])]), "reserved_topic", 8, "$"),
        (Publish(8, [Run("a", [b"x" * 101])]), "payload_too_large", 8, "limit of 100"),
        (Publish(8, [Run("a", [b"x" * 30_000])]), "payload_too_large", 8, "30000 bytes"),
        (Publish(8, [Run("a", [b"x" * 30_000, b"x"])]), "payload_too_large", 8, "30000 bytes"),
        (Publish(8, [Run("a", [b"x" * 30_000] * 5)]), "payload_too_large", 8, "30000 bytes"),
        (Publish(8, [Run("a", [b""] * 5)]), "too_many_messages", 8, "limit of 4"),
        (Publish(8, [Run("a", [b""] * 3), Run("b", [b""] * 2)]), "too_many_messages", 8, "limit of 4"),
        (Publish(8, [Run(name, [b""]) for name in "abcd"]), "too_many_topics", 8, "3 topics"),
        (b"\x92\x63\x09", "unknown_kind", 9, "kind 99"),
        (b"\x92\x10\x09", "unknown_kind", None, "WELCOME"),
        (b"\x93\x04\x09\x01", "bad_field", 9, "runs"),
        (b"\x93\x02\x20\x01", "bad_field", 32, "pattern"),
    ],
)
def test_a_refusal_has_its_code_its_id_and_names_the_limit_or_field(
    message: Message | bytes, code: str, id: int | None, says: str
) -> None:
    link = House(LIMITS).link()

    found, its_id, text = code_of(link, message)

    assert (found, its_id) == (code, id)
    assert says in text
    assert answer(link, Publish(1, [Run("a", [b"x"])])) == [Ack([[1, 0]])]


def test_a_publish_of_which_one_run_is_wrong_leaves_nothing_behind() -> None:
    house = House(LIMITS)
    reader, writer = house.link(), house.link()
    answer(reader, Subscribe(1, ">"))

    for wrong in (Run("x", [b"x" * 101]), Run("x..", [b""]), Run("$x", [b""])):
        assert isinstance(answer(writer, Publish(1, [Run("good", [b"1"]), wrong]))[0], Refusal)

    assert reader.payloads() == []
    assert not house.engine.topics


@pytest.mark.parametrize("size", [900, 20_000])
def test_payloads_that_stay_in_their_frames_keep_their_place_among_others(size: int) -> None:
    house = House()
    reader, writer = house.link(), house.link()
    answer(reader, Subscribe(1, ">"))
    large = [[bytes([number]) * size] * 3 for number in range(4)]

    writer.send(Publish(None, [Run("a", [b"first"])]))
    writer.send(Publish(1, [Run("a", large[0])]))
    writer.send(Publish(2, [Run("a", large[1])]))
    writer.send(Publish(3, [Run("a", [b"between", b"them"])]))
    writer.send(Publish(4, [Run("a", large[2], 1)]))
    writer.send(Publish(5, [Run("a", large[3])]))
    house.flush()

    assert writer.take() == [Ack([[1, 1], [2, 4], [3, 7], [4, 9], [5, 12]])]
    assert reader.payloads() == [b"first", *large[0], *large[1], b"between", b"them", *large[2], *large[3]]


def test_a_repeat_of_large_payloads_is_known_however_they_were_read() -> None:
    house = House()
    link = house.link(greet=False)
    answer(link, Hello(publisher="p", incarnation=1))
    large = Publish(1, [Run("a", [bytes(900)] * 40)], sequence=0)

    assert answer(link, large) == [Ack([[1, 0]])]
    # The same payloads, one of them with a header that is longer than it need be: that frame is decoded.
    longer = encode(large).replace(bytes.fromhex("c50384"), bytes.fromhex("c600000384"), 1)
    assert answer(link, longer) == [Ack([[1, 0]])]
    assert house.engine.stats.repeats == 1


def test_the_limit_of_subscriptions_is_told_and_one_that_ends_makes_room() -> None:
    link = House(LIMITS).link()
    answer(link, Subscribe(1, "a"))
    answer(link, Subscribe(2, "b"))

    assert code_of(link, Subscribe(3, "c"))[0] == "too_many_subscriptions"
    assert code_of(link, Subscribe(2, "c"))[0] == "subscription_exists"
    assert answer(link, Unsubscribe(1)) == [Unsubscribed(1)]
    assert isinstance(answer(link, Subscribe(3, "c"))[0], Subscribed)


def test_an_empty_publish_with_an_id_is_a_barrier() -> None:
    link = House().link()
    link.send(Publish(None, [Run("a", [b"x"])]))

    assert answer(link, Publish(5, [])) == [Ack([[5]])]


def test_a_publisher_must_wait_when_it_has_too_much_pending_and_goes_on_after_the_flush() -> None:
    house = House(Limits(pending_peer_bytes=1000))
    link, other = house.link(), house.link()

    link.send(Publish(None, [Run("a", [bytes(1000)])]))
    other.send(Publish(None, [Run("a", [bytes(10)])]))
    assert (link.session.must_wait, other.session.must_wait) == (True, False)

    house.flush()
    assert not link.session.must_wait


def test_when_all_publishers_have_too_much_pending_those_who_published_wait() -> None:
    house = House(Limits(pending_bytes=1000))
    one, two, idle = house.link(), house.link(), house.link()

    one.send(Publish(None, [Run("a", [bytes(600)])]))
    two.send(Publish(None, [Run("b", [bytes(600)])]))

    assert [link.session.must_wait for link in (one, two, idle)] == [True, True, False]


def test_replies_that_nobody_reads_clog_the_session_until_they_are_taken() -> None:
    house = House(Limits(unsent_bytes=100, reply_bytes=1000))
    link = house.link()

    link.reading = False
    while not link.session.clogged:
        link.send(Subscribe(0, "not..good"))
        house.flush()
    link.reading = True
    house.engine.sweep()

    assert not link.session.clogged
