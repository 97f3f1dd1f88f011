"""Publish identity: a repeat is answered and not stored again, or refused; never stored twice."""

from __future__ import annotations

import pytest

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.wire.messages import Ack, FromBroker, Hello, Publish, Refusal, Run


def publisher(house: House, name: str = "p", incarnation: int = 1) -> Link:
    link = house.link(greet=False)
    link.send(Hello(publisher=name, incarnation=incarnation))
    house.flush()
    link.take()
    return link


def send(link: Link, sequence: int, payload: bytes = b"x", retry: bool | None = None, id: int = 1) -> list[FromBroker]:
    link.send(Publish(id, [Run("a", [payload])], sequence, retry))
    link.house.flush()
    return link.take()


def refused(messages: list[FromBroker]) -> str:
    (refusal,) = messages
    assert isinstance(refusal, Refusal)
    return refusal.code


def test_a_repeat_over_another_connection_gets_the_first_offsets() -> None:
    house = House()
    first = publisher(house)
    assert send(first, 1, b"one") == [Ack([[1, 0]])]
    assert send(first, 2, b"two") == [Ack([[1, 1]])]

    again = publisher(house)

    assert send(again, 1, b"one", retry=True, id=8) == [Ack([[8, 0]])]
    assert send(again, 2, b"two", retry=True, id=9) == [Ack([[9, 1]])]
    assert len(house.store.messages) == 2


def test_a_repeat_in_the_same_flush_is_answered_with_it() -> None:
    house = House()
    link = publisher(house)

    link.send(Publish(1, [Run("a", [b"x"])], 5))
    link.send(Publish(2, [Run("a", [b"x"])], 5, True))
    house.flush()

    assert link.take() == [Ack([[1, 0], [2, 0]])]


def test_sequences_may_jump_and_another_incarnation_has_its_own() -> None:
    house = House()

    assert send(publisher(house), 3) == [Ack([[1, 0]])]
    assert send(publisher(house), 900) == [Ack([[1, 1]])]
    assert send(publisher(house, incarnation=2), 3) == [Ack([[1, 2]])]
    assert send(publisher(house, name="q"), 3) == [Ack([[1, 3]])]


@pytest.mark.parametrize(
    "other", [[Run("a", [b"y"])], [Run("b", [b"x"])], [Run("a", [b"x"], 1)], [Run("a", [b"", b"x"])]]
)
def test_the_same_sequence_with_something_else_is_refused(other: list[Run]) -> None:
    house = House()
    link = publisher(house)
    send(link, 1)

    link.send(Publish(4, other, 1))
    house.flush()

    assert refused(link.take()) == "identity_conflict"
    assert len(house.store.messages) == 1


def test_a_sequence_that_goes_back_is_refused_and_said_to_be_perhaps_stored() -> None:
    house = House()
    link = publisher(house)
    send(link, 5)

    assert refused(send(link, 4)) == "window_expired"
    assert send(link, 6) == [Ack([[1, 1]])]


def test_a_sequence_without_a_publisher_is_refused() -> None:
    house = House()

    assert refused(send(house.link(), 1)) == "identity_required"


def test_the_window_is_so_many_frames() -> None:
    house = House(Limits(identity_frames=3))
    link = publisher(house)
    for sequence in range(1, 6):
        send(link, sequence)

    assert refused(send(link, 2, retry=True)) == "window_expired"
    assert send(link, 3, retry=True) == [Ack([[1, 2]])]


def test_the_window_is_so_many_seconds() -> None:
    house = House(Limits(identity_seconds=10.0))
    link = publisher(house)
    send(link, 1)
    house.wait(6.0)
    send(link, 2)

    house.wait(6.0)

    assert refused(send(link, 1, retry=True)) == "window_expired"
    assert send(link, 2, retry=True) == [Ack([[1, 1]])]


def test_a_retry_of_somebody_who_was_never_heard_of_is_taken() -> None:
    house = House()

    assert send(publisher(house), 1, retry=True) == [Ack([[1, 0]])]


def test_what_was_refused_may_come_again_under_the_same_sequence() -> None:
    house = House(Limits(payload_bytes=10))
    link = publisher(house)

    assert refused(send(link, 1, bytes(11))) == "payload_too_large"
    assert send(link, 1, b"small") == [Ack([[1, 0]])]


def test_what_still_comes_over_the_older_connection_of_a_publisher_is_not_taken() -> None:
    house = House()
    older = publisher(house)
    send(older, 1)

    newer = publisher(house)
    send(newer, 2)

    with pytest.raises(Goodbye) as goodbye:
        older.send(Publish(None, [Run("a", [b"late"])]))
    assert goodbye.value.code == "taken_over"
    assert len(house.store.messages) == 2
