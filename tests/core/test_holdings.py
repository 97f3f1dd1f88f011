"""How much one subject may hold: what it lets go of it may have again, and others notice nothing."""

from __future__ import annotations

import pytest

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.holdings import Allowance
from tickwire.core.limits import Limits
from tickwire.core.rights import ANYBODY, Identity
from tickwire.core.session import Session
from tickwire.wire.messages import (
    Ack,
    Consume,
    FromBroker,
    Hello,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)


class Names:
    """Takes everybody for who they say they are."""

    def identify(self, token: str | None) -> Identity:
        return ANYBODY if token is None else Identity.of(token, publish=None, subscribe=None, consume=None)

    def identified(self, identity: Identity) -> None:
        pass


def house(**allowance: int) -> House:
    return House(Limits(allowance=Allowance(**allowance), free_topic_after=10.0, retain_seconds=5.0))


def link(house: House, name: str | None) -> Link:
    made = house.link(greet=False)
    made.session = Session(house.engine, made.peer, Names())
    made.send(Hello(token=name))
    return made


def answers(link: Link) -> list[FromBroker]:
    link.house.flush()
    return link.take()


def asked(link: Link, message: Publish | Subscribe | Consume) -> tuple[type[object], str]:
    """The answer to something, in short."""
    link.send(message)
    (answer,) = (each for each in answers(link) if isinstance(each, Ack | Subscribed | Refusal))
    return type(answer), answer.code if isinstance(answer, Refusal) else ""


def publish(id: int, *topics: str) -> Publish:
    return Publish(id, [Run(topic, [b"x"]) for topic in topics])


def test_what_a_subject_may_hold_is_in_its_welcome() -> None:
    bounded = house(connections=3, topics=2)
    (alice,), (nobody,) = answers(link(bounded, "alice")), answers(link(bounded, None))

    assert isinstance(alice, Welcome)
    assert {name: limit for name, limit in alice.limits.items() if name.startswith("subject_")} == {
        "subject_connections": 3,
        "subject_topics": 2,
    }
    assert isinstance(nobody, Welcome)
    assert not any(name.startswith("subject_") for name in nobody.limits)


def test_a_connection_too_many_is_turned_away_until_another_goes() -> None:
    bounded = house(connections=2)
    first, _ = link(bounded, "alice"), link(bounded, "alice")

    with pytest.raises(Goodbye) as turned_away:
        link(bounded, "alice")
    link(bounded, "bob")
    first.session.leave()
    link(bounded, "alice")

    assert turned_away.value.code == "too_many_of_subject"
    assert turned_away.value.text == "subject 'alice' has 2 connections already, which is the limit"
    assert turned_away.value.retry_after_ms == 5_000


def test_who_was_turned_away_takes_nobody_s_place_when_it_goes() -> None:
    bounded = house(connections=1)
    link(bounded, "alice")

    for _ in range(2):
        late = bounded.link(greet=False)
        late.session = Session(bounded.engine, late.peer, Names())
        with pytest.raises(Goodbye):
            late.send(Hello(token="alice"))
        late.session.leave()


def test_who_leaves_twice_leaves_once() -> None:
    bounded = house(connections=1)
    first = link(bounded, "alice")

    first.session.leave()
    first.session.leave()
    link(bounded, "alice")
    with pytest.raises(Goodbye):
        link(bounded, "alice")


def test_topics_count_by_who_made_them_however_they_did() -> None:
    bounded = house(topics=3)
    alice, also, bob = link(bounded, "alice"), link(bounded, "alice"), link(bounded, "bob")

    assert asked(alice, publish(1, "a.1")) == (Ack, "")
    assert asked(also, Subscribe(1, "a.2")) == (Subscribed, "")
    assert asked(also, Subscribe(2, "a.3", since=("earliest",))) == (Subscribed, "")
    assert asked(alice, publish(2, "a.4")) == (Refusal, "too_many_topics")
    assert asked(alice, Subscribe(3, "a.4")) == (Refusal, "too_many_topics")
    assert asked(alice, Subscribe(4, "a.4", since=("earliest",))) == (Refusal, "too_many_topics")
    assert asked(alice, publish(3, "a.3", "a.1")) == (Ack, "")
    assert asked(bob, publish(1, "b.1")) == (Ack, "")
    assert asked(alice, Subscribe(5, "b.1")) == (Subscribed, "")
    assert asked(alice, Subscribe(6, "a.*")) == (Subscribed, "")


def test_a_frame_that_would_make_too_many_topics_makes_none() -> None:
    bounded = house(topics=2)
    alice = link(bounded, "alice")

    assert asked(alice, publish(1, "a", "b", "c")) == (Refusal, "too_many_topics")
    assert asked(alice, publish(2, "a", "b")) == (Ack, "")


def test_the_refusal_names_the_subject_and_the_limit() -> None:
    bounded = house(topics=1)
    alice = link(bounded, "alice")
    alice.send(publish(1, "a", "b"))

    (refusal,) = (each for each in answers(alice) if isinstance(each, Refusal))
    assert refusal.text == "subject 'alice' holds 1 topics already, which is the limit"
    assert refusal.details == {"limit": 1}


def test_a_topic_that_was_freed_is_held_no_more() -> None:
    bounded = house(topics=1)
    alice = link(bounded, "alice")
    assert asked(alice, publish(1, "a")) == (Ack, "")

    for _ in range(30):
        bounded.wait(1.0)

    assert "a" not in bounded.engine.topics
    assert asked(alice, publish(2, "b")) == (Ack, "")


def test_who_comes_back_holds_what_was_left() -> None:
    bounded = house(topics=1)
    alice = link(bounded, "alice")
    assert asked(alice, publish(1, "a")) == (Ack, "")
    alice.session.leave()
    del alice

    assert asked(link(bounded, "alice"), publish(2, "b")) == (Refusal, "too_many_topics")


def test_consumer_groups_count_by_who_began_them() -> None:
    bounded = house(groups=1)
    alice, bob = link(bounded, "alice"), link(bounded, "bob")

    assert asked(alice, Subscribe(1, "a", group="live")) == (Subscribed, "")
    assert asked(alice, Consume(2, "a", "kept", 10)) == (Refusal, "too_many_groups")
    alice.send(Unsubscribe(1))  # a live group ends with its last member
    answers(alice)
    assert asked(alice, Consume(2, "a", "kept", 10)) == (Subscribed, "")
    assert asked(alice, Subscribe(1, "a", group="live")) == (Refusal, "too_many_groups")
    assert asked(bob, Subscribe(1, "a", group="live")) == (Subscribed, "")
    assert asked(alice, Subscribe(1, "a", group="live")) == (Subscribed, "")


def test_nobody_s_connections_are_counted_together() -> None:
    bounded = house(connections=1, topics=1)
    one, two = link(bounded, None), link(bounded, None)

    assert asked(one, publish(1, "a", "b")) == (Ack, "")
    assert asked(two, publish(1, "c", "d")) == (Ack, "")


def test_a_publisher_s_name_is_its_subject_s() -> None:
    shared = house(connections=9)
    alice, mallory = (shared.link(greet=False) for _ in range(2))
    for each, name in ((alice, "alice"), (mallory, "mallory")):
        each.session = Session(shared.engine, each.peer, Names())
        each.send(Hello(token=name, publisher="orders", incarnation=1))
    answers(alice)
    mallory.send(Publish(1, [Run("m", [b"x"])], sequence=2**53 - 1))
    answers(mallory)

    alice.send(Publish(1, [Run("a", [b"x"])], sequence=1))

    assert isinstance(answers(alice)[0], Ack)


def test_who_may_not_know_a_group_is_not_told_what_it_consumes() -> None:
    shared = house(connections=9)
    owner, stranger = link(shared, "owner"), link(shared, "stranger")
    stranger.session.become(Identity.of("stranger", consume=["pub.>"]), shared.clock.now)
    assert asked(owner, Consume(1, "secret.payroll", "billing", 1)) == (Subscribed, "")

    for who, knows in ((owner, True), (stranger, False)):
        who.send(Consume(2, "pub.>", "billing", 1))
        (refusal,) = (each for each in answers(who) if isinstance(each, Refusal))
        assert refusal.code == "group_conflict"
        assert ("payroll" in f"{refusal.text}{refusal.details}") is knows


def test_a_token_that_is_good_for_ever_ends_with_what_a_number_can_hold() -> None:
    for ends in (2.6e11, 1e300):
        made = House().link(greet=False)
        made.session = Session(made.house.engine, made.peer, Names())
        identity = Identity.of("alice", expires_at=ends)
        made.session._asks = Hello()
        made.session.admit(identity, made.house.clock.now)
        (welcome,) = (each for each in answers(made) if isinstance(each, Welcome))
        assert welcome.limits["token_expires_us"] == 2**53 - 1
