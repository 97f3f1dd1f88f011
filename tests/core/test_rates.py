"""How fast one may ask: first one waits, then one is refused, then one has to go."""

from __future__ import annotations

import pytest

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.core.rates import LENIENCE, PATIENCE, Meter, Rates
from tickwire.core.rights import Identity
from tickwire.wire.encode import encode
from tickwire.wire.messages import Ack, Beat, Hello, Publish, Refusal, Run, Subscribe, Unsubscribe, Welcome

PLAIN = encode(Publish(None, [Run("a", [b"x"])]))


def house(**rates: float) -> House:
    return House(Limits(rates=Rates(**{"burst": 1.0} | rates)))


def publish(id: int, count: int = 1, size: int = 1) -> Publish:
    return Publish(id, [Run("a", [bytes(size)] * count)])


def answers(link: Link) -> list[object]:
    link.house.flush()
    return link.take()


def pay(link: Link, seconds: float) -> bool:
    """Whether it must still wait, a while later."""
    link.house.clock.now += seconds
    link.session.go_on(link.house.clock.now)
    return link.session.must_wait


def test_a_bucket_is_a_burst_and_then_a_rate() -> None:
    meter = Meter(Rates(messages=10, burst=2))

    meter.spend(100.0, 1, 20, 0, 0)
    assert meter.debt(100.0) == 0
    meter.spend(100.0, 1, 5, 0, 0)
    assert meter.debt(100.0) == pytest.approx(0.5)
    assert meter.debt(100.5) == pytest.approx(0)
    meter.spend(100.5, 1, 1, 0, 0)
    assert meter.debt(100.5) == pytest.approx(0.1)
    assert meter.worst() == ("messages", 10)
    meter.spend(200.0, 1, 20, 0, 0)
    assert meter.debt(200.0) == 0


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"frames": 10}, [publish(number) for number in range(11)]),
        ({"messages": 10}, [publish(0, 11)]),
        ({"bytes": 1_000}, [publish(0, 1, 1_050)]),
        ({"subscriptions": 10}, [Subscribe(number, "a") for number in range(11)]),
    ],
    ids=["frames", "messages", "bytes", "subscriptions"],
)
def test_who_asks_for_more_waits_until_it_is_paid_for(rates: dict[str, float], message: list[Publish]) -> None:
    link = house(**rates).link()
    link.house.clock.now += 99  # what the HELLO cost is paid for
    for each in message[:-1]:
        link.send(each)
        assert not pay(link, 0)

    link.send(message[-1])

    assert pay(link, 0)
    assert not any(isinstance(answer, Refusal) for answer in answers(link))
    assert pay(link, 0.05)
    assert not pay(link, 0.2)


def test_what_would_take_too_long_is_refused_with_the_limit_and_how_long_it_would_take() -> None:
    link = house(messages=10).link()
    link.send(publish(0, 10 * int(PATIENCE + 2)))

    (refusal,) = answers(link)
    assert isinstance(refusal, Refusal)
    assert (refusal.id, refusal.code) == (0, "rate_exceeded")
    assert refusal.details == {"limit": 10, "retry_after_ms": 6000}
    assert "more than 10 messages a second" in refusal.text
    link.send(publish(1, 50))  # it is not paid for
    assert isinstance(answers(link)[0], Ack)
    assert pay(link, 3.9)
    assert not pay(link, 0.2)
    assert link.house.engine.topics["a"].end - link.house.engine.topics.floor == 50


def test_who_has_nothing_left_is_refused_whatever_it_publishes_and_nothing_else() -> None:
    link = house(messages=1).link()
    for number in range(int(PATIENCE) + 1):
        link.send(publish(number))
    first = answers(link)
    link.send(publish(9))
    link.send(Unsubscribe(5))  # what asks for little is answered as ever

    assert [type(answer) for answer in first] == [Ack]
    assert [answer.code for answer in answers(link)] == ["rate_exceeded", "unknown_subscription"]  # type: ignore[attr-defined]


def test_who_does_not_stop_asking_has_to_go() -> None:
    link = house(messages=10).link()
    for number in range(LENIENCE):
        link.send(publish(number, 500))

    with pytest.raises(Goodbye) as goodbye:
        link.send(publish(0, 500))

    assert goodbye.value.code == "rate_exceeded"


def test_plain_frames_that_come_together_count_as_what_they_are() -> None:
    link = house(messages=100).link()
    link.send(PLAIN)
    end = link.house.engine.topics["a"].end

    taken, _ = link.session.receive_all([PLAIN] * 150, link.house.clock.now, 999)
    assert 95 <= taken <= 100
    assert link.house.engine.topics["a"].end - end == taken
    assert pay(link, 0)
    assert not pay(link, 0.1)


def test_plain_frames_for_which_there_is_enough_are_taken_as_one() -> None:
    link = house(messages=1_000_000).link()
    link.send(PLAIN)

    taken, decoded = link.session.receive_all([PLAIN] * 500, link.house.clock.now, 999)

    assert (taken, decoded) == (500, 0)


def test_all_connections_of_a_subject_count_together() -> None:
    limits = Limits(subject_rates=Rates(messages=10, burst=1))
    shared = House(limits)
    alice, also, bob, nobody = (shared.link() for _ in range(4))
    for link, subject in ((alice, "alice"), (also, "alice"), (bob, "bob")):
        link.session.become(Identity.of(subject, publish=None, subscribe=None), shared.clock.now)
    for link in (alice, also, bob, nobody):
        link.send(publish(1, 8))

    assert [link.session.must_wait for link in (alice, also, bob, nobody)] == [False, True, False, False]


def test_who_comes_back_owes_what_it_owed() -> None:
    shared = House(Limits(subject_rates=Rates(messages=10, burst=1)))

    def come() -> Link:
        link = shared.link()
        link.session.become(Identity.of("alice", publish=None), shared.clock.now)
        return link

    taken = 0
    for number in range(20):
        link = come()
        link.send(publish(number, 20))
        taken += sum(isinstance(answer, Ack) for answer in answers(link))
        link.session.leave()
        del link

    assert taken <= 4
    shared.wait(60)
    assert not shared.engine._owing
    assert not come().session.must_wait


def test_somebody_who_is_known_is_told_the_lesser_rate() -> None:
    limits = Limits(rates=Rates(messages=10, bytes=50), subject_rates=Rates(messages=5, frames=7))

    assert (
        limits.for_welcome(known=True).items()
        >= {"messages_per_second": 5, "bytes_per_second": 50, "frames_per_second": 7}.items()
    )
    assert limits.for_welcome()["messages_per_second"] == 10


def test_the_rates_are_told_in_the_welcome() -> None:
    link = House(Limits(rates=Rates(messages=10, subscriptions=5))).link(greet=False)

    link.send(Hello())

    (welcome,) = answers(link)
    assert isinstance(welcome, Welcome)
    assert {name: value for name, value in welcome.limits.items() if "per_second" in name} == {
        "messages_per_second": 10,
        "subscriptions_per_second": 5,
    }


def test_the_subscriptions_of_a_hello_count() -> None:
    link = house(subscriptions=10).link(greet=False)

    link.send(Hello(subscriptions=[Subscribe(number, "a") for number in range(20)]))

    assert pay(link, 0)
    assert not pay(link, 1.1)


@pytest.mark.parametrize(
    "frame", [encode(Unsubscribe(5)), encode(Beat(0)), b"\x92\x18\x01"], ids=["asks", "beat", "unknown"]
)
def test_every_frame_counts_as_one(frame: bytes) -> None:
    link = house(frames=10).link()
    for _ in range(10 + int(10 * PATIENCE)):
        link.send(frame)
    link.house.flush()
    link.take()
    link.send(frame)
    link.send(frame)

    assert "rate_exceeded" in [getattr(answer, "code", "") for answer in answers(link)]
