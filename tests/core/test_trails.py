"""Subscriptions that start in the past: what comes on their own stream, and when they are live."""

from __future__ import annotations

import pytest

from house.link import House, Link, told
from tickwire.core import session
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.core.rights import Identity
from tickwire.core.session import PARTS
from tickwire.fanout.catchup import CURSORS
from tickwire.wire.codes import EPOCH, EVICTED, FREED
from tickwire.wire.messages import (
    Delivery,
    End,
    FromBroker,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)


def publish(house: House, **topics: list[bytes]) -> None:
    """One flush with these payloads; `p_a` is the topic p.a."""
    writer = house.link()
    writer.send(Publish(None, [Run(name.replace("_", "."), payloads) for name, payloads in topics.items()]))
    house.flush()


def ask(link: Link, message: Subscribe) -> list[FromBroker]:
    link.send(message)
    link.house.flush()
    return link.take()


SINCE = [
    (("earliest",), [("a", 0, b"12"), ("a", 2, b"3"), ("join", 1)]),
    (("last",), [("a", 2, b"3"), ("join", 1)]),
    (("time", 1_010_000_000), [("a", 2, b"3"), ("join", 1)]),
    (("time", 1), [("a", 0, b"12"), ("a", 2, b"3"), ("join", 1)]),
    (("time", 9_000_000_000), []),
]


@pytest.mark.parametrize(("since", "expected"), SINCE, ids=[str(since) for since, _ in SINCE])
@pytest.mark.parametrize("pattern", ["a", "*"])
def test_a_subscription_begins_where_it_says(
    pattern: str, since: tuple[str | int, ...], expected: list[tuple[object, ...]]
) -> None:
    house = House()
    publish(house, a=[b"1", b"2"])
    house.wait(10.0)
    publish(house, a=[b"3"])

    reply, *rest = ask(house.link(), Subscribe(1, pattern, since=since))

    assert isinstance(reply, Subscribed)
    assert told(rest) == expected
    assert reply.stream == (1 if expected else 0)


def test_a_position_inside_a_section_begins_with_that_message() -> None:
    house = House()
    publish(house, a=[b"1", b"2", b"3"])

    reply, *rest = ask(house.link(), Subscribe(1, "a", since=("offset", house.engine.epoch, 1)))

    assert reply == Subscribed(1, 1, 1, 3)
    assert told(rest) == [("a", 1, b"23"), ("join", 1)]


def test_a_position_of_another_epoch_is_told_and_all_that_is_kept_comes() -> None:
    house = House()
    publish(house, a=[b"1"])

    _, *rest = ask(house.link(), Subscribe(1, "a", since=("offset", house.engine.epoch ^ 1, 7)))

    assert told(rest) == [("a", None, None, EPOCH), ("a", 0, b"1"), ("join", 1)]


@pytest.mark.parametrize("since", [("last",), ("time", 1 << 52)])
def test_what_began_in_another_epoch_is_owed_all_of_this_one(since: tuple[str | int, ...]) -> None:
    """It had not come level when the broker went: it asks for its start again, and was there before all of this."""
    house = House()
    for payload in (b"1", b"2", b"3"):
        publish(house, a=[payload])

    _, *rest = ask(house.link(), Subscribe(1, "a", since=since, seen=(house.engine.epoch ^ 1, 9), positions=[("a", 7)]))

    assert told(rest) == [("a", 0, b"1"), ("a", 1, b"2"), ("a", 2, b"3"), ("join", 1)]


@pytest.mark.parametrize(
    "wrong", [Subscribe(1, "a", since=("offset", 0, 2)), Subscribe(1, "a", seen=(0, 1), positions=[("a", 2)])]
)
def test_a_position_that_was_never_given_is_refused_and_the_topic_stays_as_it_was(wrong: Subscribe) -> None:
    house = House()
    publish(house, a=[b"1"])
    epoch = house.engine.epoch
    wrong.since = wrong.since and ("offset", epoch, 2)
    wrong.seen = wrong.seen and (epoch, 1)
    link = house.link()

    (refusal,) = ask(link, wrong)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.id, "next one is 1" in refusal.text) == ("future_position", 1, True)
    assert told(ask(link, Subscribe(1, "a", since=("earliest",)))) == [("a", 0, b"1"), ("join", 1)]


def test_an_offset_of_a_pattern_is_refused() -> None:
    house = House()

    (refusal,) = ask(house.link(), Subscribe(1, "a.*", since=("offset", house.engine.epoch, 0)))

    assert isinstance(refusal, Refusal)
    assert refusal.code == "bad_pattern"


def test_a_client_that_comes_back_gets_what_came_since_and_no_more() -> None:
    house = House()
    publish(house, p_a=[b"1"], p_b=[b"1"])
    seen = house.engine.epoch, house.engine.stamp
    publish(house, p_a=[b"2", b"3"], q=[b"1"])
    publish(house, p_c=[b"1"])

    wild = ask(house.link(), Subscribe(1, "p.*", seen=seen))
    exact = ask(house.link(), Subscribe(2, "p.b", seen=seen))

    assert told(wild) == [("p.c", 0, b"1"), ("p.a", 1, b"23"), ("join", 1)]
    assert exact == [Subscribed(2, 0, 3, 1)]


def test_positions_say_what_a_client_has_beyond_what_it_had_seen_of_all() -> None:
    house = House()
    publish(house, p_a=[b"1"], p_b=[b"1"])
    seen = house.engine.epoch, house.engine.stamp
    publish(house, p_a=[b"2", b"3"], p_b=[b"2"])

    messages = ask(house.link(), Subscribe(1, "p.*", seen=seen, positions=[("p.a", 2)]))

    assert sorted(told(messages)[:-1]) == [("p.a", 2, b"3"), ("p.b", 1, b"2")]


def test_a_client_of_another_epoch_gets_all_that_this_one_keeps() -> None:
    house = House()
    publish(house, a=[b"1", b"2"])

    messages = ask(house.link(), Subscribe(1, "*", seen=(house.engine.epoch ^ 1, 99), positions=[("a", 1)]))

    assert told(messages) == [("a", 0, b"12"), ("join", 1)]


def test_what_is_gone_comes_as_a_gap_before_what_is_left() -> None:
    house = House(Limits(policies=Policies(special=(PolicyFor("a", Policy(messages=2)),))))
    publish(house, a=[b"1"])
    seen = house.engine.epoch, house.engine.stamp
    for payload in (b"2", b"3", b"4"):
        publish(house, a=[payload])

    messages = ask(house.link(), Subscribe(1, "a", seen=seen, positions=[("a", 1)]))

    assert told(messages) == [("a", 1, 2, EVICTED), ("a", 2, b"3"), ("a", 3, b"4"), ("join", 1)]


def test_a_topic_that_was_freed_and_came_back_is_told_as_a_gap() -> None:
    house = House(Limits(retain_seconds=5.0, free_topic_after=5.0))
    publish(house, a=[b"1"])
    seen = house.engine.epoch, 0
    house.wait(6.0)
    house.wait(6.0)
    assert "a" not in house.engine.topics
    publish(house, a=[b"2"])

    exact = ask(house.link(), Subscribe(1, "a", seen=seen, positions=[("a", 0)]))
    wild = ask(house.link(), Subscribe(1, "*", seen=seen))

    assert told(exact) == [("a", 0, 1, FREED), ("a", 1, b"2"), ("join", 1)]
    assert told(wild)[0] == ("*", None, None, FREED)


def test_after_the_join_it_is_live_and_nothing_is_missing_between() -> None:
    house = House()
    publish(house, a=[b"1"])
    link = house.link()
    first = ask(link, Subscribe(1, "*", since=("earliest",)))

    publish(house, a=[b"2"], b=[b"1"])

    assert told(first) == [("a", 0, b"1"), ("join", 1)]
    (delivery,) = link.take()
    assert isinstance(delivery, Delivery)
    assert delivery.stream == 0
    assert told([delivery]) == [("a", 1, b"2"), ("b", 0, b"1")]


def test_topics_that_come_while_it_catches_up_are_not_missed() -> None:
    house = House()
    publish(house, a=[bytes(60_000)] * 8)
    link = house.link()
    link.reading = False
    link.send(Subscribe(1, "*", since=("earliest",)))
    house.flush()

    publish(house, b=[b"new"])
    link.reading = True
    for _ in range(10):
        house.engine.sweep()

    messages = told(link.take())
    assert ("b", 0, b"new") in messages
    assert messages[-1] == ("join", 1)


def test_a_long_history_comes_in_parts_that_do_not_put_its_own_reader_behind() -> None:
    house = House(Limits(retain_bytes=8 << 20))
    for _ in range(20):
        publish(house, a=[bytes(60_000)])
    link = house.link()

    parts = []
    link.send(Subscribe(1, "a", since=("earliest",)))
    house.flush()
    while link.peer.trails:
        parts.append(sum(map(len, link.sent)))
        link.sent.clear()
        house.engine.sweep()

    assert len(parts) > 5
    assert max(parts) < house.engine.limits.unsent_bytes
    assert not link.peer.behind


def test_those_who_come_back_alike_share_the_bytes() -> None:
    house = House()
    publish(house, a=[bytes(1000)])
    links = [house.link() for _ in range(3)]

    for link in links:
        link.send(Subscribe(1, "a", since=("earliest",)))
    house.flush()

    assert [link.sent[0] for link in links] == [links[0].sent[0]] * 3
    assert told(links[2].take()) == [("a", 0, bytes(1000)), ("join", 1)]


def test_history_ends_and_leaves_no_subscription_behind() -> None:
    house = House()
    publish(house, a=[b"1"])
    link = house.link()

    messages = ask(link, Subscribe(1, "a", since=("earliest",), once=True))
    publish(house, a=[b"2"])

    assert told(messages) == [("a", 0, b"1"), ("end", 1)]
    assert link.take() == []
    assert ask(link, Subscribe(1, "a", once=True))[0] == Subscribed(1, 2, 2, 2)


def test_a_history_of_nothing_ends_too() -> None:
    house = House()

    messages = ask(house.link(), Subscribe(1, "none.>", once=True))

    assert told(messages) == [("end", 1)]


def test_a_subscription_that_catches_up_has_its_id_and_can_be_ended() -> None:
    house = House(Limits(subscriptions=1))
    publish(house, a=[bytes(60_000)] * 8)
    link = house.link()
    link.reading = False
    link.sent.append(b"\x82\x00")  # something unsent, so that the trail waits
    link.send(Subscribe(1, "a", since=("earliest",)))
    house.flush()

    link.send(Subscribe(1, "b"))
    link.send(Subscribe(2, "b"))
    link.send(Unsubscribe(1))
    link.sent.clear()
    link.reading = True
    house.flush()

    twice, many, ended = [message for message in link.take() if not isinstance(message, Delivery)]
    assert isinstance(twice, Refusal)
    assert isinstance(many, Refusal)
    assert (twice.code, many.code) == ("subscription_exists", "too_many_subscriptions")
    assert ended == Unsubscribed(1)
    publish(house, a=[b"later"])
    assert link.take() == []


def test_more_topics_than_one_look_takes_are_all_found() -> None:
    house = House()
    writer = house.link()
    for part in range(2):
        writer.send(Publish(None, [Run(f"t.{part}.{number}", [b"x"]) for number in range(4_000)]))
        house.flush()
    link = house.link()

    link.send(Subscribe(1, "t.>", since=("earliest",)))
    house.flush()
    while link.peer.trails:
        house.engine.sweep()

    messages = told(link.take())
    assert len({topic for topic, *_ in messages[:-1]}) == 8_000
    assert messages[-1] == ("join", 1)


def many_topics(count: int = 5_000) -> House:
    """With a message in each."""
    house = House()
    house.link().send(Publish(None, [Run(f"t.{number}", [b"x"]) for number in range(count)]))
    house.flush()
    return house


def test_histories_begin_a_few_at_a_time_and_all_come() -> None:
    house = many_topics()
    link = house.link()
    for id in range(20):
        link.send(Subscribe(id, ">", since=("earliest",), once=True))
    heaviest, ended, messages = 0, [], 0

    while link.peer.trails:
        house.flush()
        house.engine.sweep()
        heaviest = max(heaviest, sum(trail.weight for trail in link.peer.trails))
        for message in link.take():
            ended += [message.id] if isinstance(message, End) else []
            messages += len(message.sections) if isinstance(message, Delivery) else 0

    assert heaviest <= 3 * CURSORS  # not twenty times the topics
    assert (sorted(ended), messages) == (list(range(20)), 20 * 5_000)


def test_who_begins_with_the_last_misses_nothing_that_comes_before_its_topic_is_looked_at() -> None:
    house = many_topics(1_000)
    link, writer = house.link(), house.link()
    link.send(Subscribe(1, ">", since=("last",)))
    writer.send(Publish(None, [Run("t.7", [b"y", b"z"])]))
    house.flush()  # shown first, and then the topics are looked at
    while link.peer.trails:
        house.engine.sweep()

    of_7 = [(first, payloads) for topic, first, *rest in told(link.take()) if topic == "t.7" for payloads in rest]
    assert of_7 == [(0, b"x"), (1, b"yz")]


def test_only_so_many_patterns_of_which_a_part_may_be_read() -> None:
    house = House()
    link = house.link()
    link.session.become(Identity.of("alice", subscribe=["a.*", "b.*"]), house.clock.now)
    for id in range(PARTS + 1):
        link.send(Subscribe(id, ">"))
    link.send(Subscribe(PARTS + 1, "a.*"))
    house.flush()

    (refusal,) = (answer for answer in link.take() if isinstance(answer, Refusal))
    assert (refusal.id, refusal.code, refusal.details) == (PARTS, "too_many_subscriptions", {"limit": PARTS})
    assert len(link.peer.subscriptions) == PARTS + 1


def test_only_so_many_positions_of_what_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "POSITIONS", 10)
    house = many_topics()
    link, epoch = house.link(), house.engine.epoch
    for id in range(2):
        link.send(Subscribe(id, ">", seen=(epoch, 0), positions=[(f"t.{number}", 0) for number in range(6)]))
    house.flush()

    (refusal,) = (answer for answer in link.take() if isinstance(answer, Refusal))
    assert (refusal.id, refusal.code) == (1, "too_many_subscriptions")
    assert "10 positions" in refusal.text
