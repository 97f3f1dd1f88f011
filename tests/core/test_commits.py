"""The flush on a durable store: nothing is shown or acknowledged before its commit, and what a failed one does."""

from __future__ import annotations

import pytest

from house.fake_disk import FakeDisk
from house.link import House, Link
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.core.store import StoreFailed, StoreFull
from tickwire.wire.messages import Ack, Delivery, Hello, Publish, Refusal, Run, Subscribe, Subscribed

MEMORY = Policies(special=(PolicyFor("m.>", Policy(durable=False)),))


def house_on_disk(policies: Policies | None = None) -> House:
    return House(Limits(policies=policies or Policies()), store=FakeDisk.formatted().store())


def reader(house: House, pattern: str) -> Link:
    link = house.link()
    link.send(Subscribe(1, pattern))
    house.settle()
    link.take()
    return link


def publish(link: Link, topic: str, payload: bytes, id: int | None = None) -> None:
    link.send(Publish(id, [Run(topic, [payload])]))


def fail(house: House, error: Exception) -> None:
    assert house.engine.take_commit() is not None
    house.engine.committed(error)
    house.flush()


def refusals(link: Link) -> list[tuple[int | None, str]]:
    return [(message.id, message.code) for message in link.take() if isinstance(message, Refusal)]


def test_nothing_is_acknowledged_or_shown_before_it_is_stored() -> None:
    house = house_on_disk()
    mine, writer = reader(house, "a"), house.link()

    publish(writer, "a", b"1", id=7)
    house.flush()
    batch = house.engine.take_commit()
    house.flush()
    assert (mine.take(), writer.take()) == ([], [])

    assert batch is not None
    house.store.commit(batch)
    house.engine.committed()
    house.flush()
    assert mine.payloads() == [b"1"]
    assert writer.take() == [Ack([[7, 0]])]


def test_a_publisher_may_have_four_turns_of_its_share_pending_while_a_commit_is_under_way() -> None:
    house = House(Limits(pending_peer_bytes=1000), store=FakeDisk.formatted().store())
    writer = house.link()

    publish(writer, "a", bytes(1000))
    assert writer.session.must_wait
    house.flush()
    publish(writer, "a", bytes(3000))
    assert not writer.session.must_wait
    publish(writer, "a", bytes(1000))
    assert writer.session.must_wait

    batch = house.engine.take_commit()
    assert batch is not None
    house.store.commit(batch)
    house.engine.committed()
    house.flush()
    assert not writer.session.must_wait


def test_what_comes_while_a_commit_runs_is_stored_together_by_the_next() -> None:
    house = house_on_disk()
    writers = [house.link() for _ in range(5)]

    for number, writer in enumerate(writers):
        publish(writer, "a", b"%d" % number, id=number)
        house.flush()
    first = house.engine.take_commit()
    assert first is not None
    assert house.engine.take_commit() is None
    house.store.commit(first)
    house.engine.committed()
    house.flush()
    second = house.engine.take_commit()

    assert second is not None
    assert [section.end - section.first for _, section in first.sections] == [1]
    assert [section.end - section.first for _, section in second.sections] == [4]


def test_a_publish_asks_for_a_flush_where_that_can_seal_it_and_else_the_end_of_the_commit_does() -> None:
    house = house_on_disk()
    writer, engine = house.link(), house.engine

    publish(writer, "a", b"1", id=1)
    asked = [engine.due]
    house.flush()
    publish(writer, "a", b"2", id=2)
    publish(writer, "b", b"3", id=3)
    asked.append(engine.due)
    batch = engine.take_commit()
    assert batch is not None
    house.store.commit(batch)
    engine.committed()
    asked.append(engine.due)

    assert asked == [True, False, True]


def test_a_flush_that_does_not_seal_answers_what_is_stored_and_leaves_the_rest_to_one_that_does() -> None:
    house = house_on_disk()
    writer, engine = house.link(), house.engine
    publish(writer, "a", b"1", id=1)
    house.flush()
    publish(writer, "a", b"2", id=2)
    batch = engine.take_commit()
    assert batch is not None
    house.store.commit(batch)
    engine.committed()

    engine.flush(0.0, 1, seals=False)
    assert writer.take() == [Ack([[1, 0]])]
    assert (engine.take_commit(), engine.due) == (None, True)
    publish(writer, "a", b"3", id=3)
    house.settle()

    assert writer.take() == [Ack([[2, 1], [3, 2]])]
    assert engine.due is False


def test_replies_do_not_wait_for_the_disk() -> None:
    house = house_on_disk()
    writer, other = house.link(), house.link()

    publish(writer, "a", b"1", id=1)
    house.flush()
    other.send(Subscribe(3, "b"))
    house.flush()

    assert other.take() == [Subscribed(3, 0, house.engine.stamp, 0)]


def test_a_barrier_waits_for_what_its_connection_published_before() -> None:
    house = house_on_disk()
    writer = house.link()

    publish(writer, "a", b"1")
    house.flush()
    writer.send(Publish(9, []))
    house.flush()
    assert writer.take() == []

    house.settle()
    assert writer.take() == [Ack([[9]])]


def test_a_reader_is_told_a_position_that_is_stored_and_gets_what_comes_after_it() -> None:
    house = house_on_disk()
    writer, late = house.link(), house.link()

    publish(writer, "a", b"1")
    house.flush()
    late.send(Subscribe(1, "a"))
    house.settle()

    subscribed, delivery = late.take()
    assert isinstance(subscribed, Subscribed)
    assert isinstance(delivery, Delivery)
    assert subscribed.offset == delivery.sections[0].first == 0


def test_on_a_full_disk_all_that_is_not_stored_is_refused_and_its_offsets_are_given_again() -> None:
    house = house_on_disk()
    mine, one, two = reader(house, "a"), house.link(), house.link()
    publish(one, "a", b"0", id=0)
    house.settle()
    one.take()
    mine.take()

    publish(one, "a", b"1", id=1)
    house.flush()
    publish(two, "a", b"2", id=2)
    publish(two, "b", b"3")
    fail(house, StoreFull("full"))
    publish(two, "a", b"4", id=4)
    house.flush()

    assert refusals(one) == [(1, "no_space")]
    assert refusals(two) == [(2, "no_space"), (4, "no_space")]
    house.engine.has_room()
    publish(two, "a", b"5", id=5)
    house.settle()
    assert two.take() == [Ack([[5, 1]])]
    assert mine.payloads() == [b"5"]


def test_who_asked_for_no_receipt_is_told_once_that_the_disk_is_full() -> None:
    house = house_on_disk()
    writer = house.link()

    for number in range(3):
        publish(writer, "a", b"%d" % number)
    house.flush()
    fail(house, StoreFull("full"))

    assert refusals(writer) == [(None, "no_space")]


def test_a_commit_that_ends_in_an_error_is_unknown_and_nothing_is_stored_after_it() -> None:
    house = house_on_disk()
    mine, writer = reader(house, "a"), house.link()
    publish(writer, "a", b"kept", id=0)
    house.settle()
    writer.take()
    mine.take()

    publish(writer, "a", b"1", id=1)
    house.flush()
    publish(writer, "a", b"2", id=2)
    fail(house, StoreFailed("fsync"))
    publish(writer, "a", b"3", id=3)
    house.flush()

    assert refusals(writer) == [(1, "outcome_unknown"), (2, "store_failed"), (3, "store_failed")]
    assert mine.take() == []
    mine.send(Subscribe(2, "a", since=("earliest",)))
    house.settle()
    assert mine.payloads() == [b"kept"]


def test_topics_in_memory_go_on_when_the_disk_is_full() -> None:
    house = house_on_disk(MEMORY)
    mine, writer = reader(house, ">"), house.link()
    publish(writer, "a", b"1", id=1)
    house.flush()
    fail(house, StoreFull("full"))
    writer.take()

    publish(writer, "m.a", b"2", id=2)
    house.flush()

    assert [type(message) for message in writer.take()] == [Ack]
    assert mine.payloads() == [b"2"]


def test_a_reader_that_falls_behind_where_two_commits_are_shown_at_once_misses_neither() -> None:
    """That happens where the second needs no disk."""
    house = House(Limits(policies=MEMORY, unsent_bytes=10), store=FakeDisk.formatted().store())
    slow, writer = reader(house, ">"), house.link()
    slow.reading = False
    slow.sent.append(bytes(100))
    publish(writer, "a", b"1")
    publish(writer, "m.a", b"2")
    house.flush()
    publish(writer, "m.a", b"3")

    house.commit()
    house.flush()
    assert slow.peer.behind
    slow.sent.clear()
    slow.reading = True
    house.settle()

    assert sorted(slow.payloads()) == [b"1", b"2", b"3"]


def test_no_reader_sees_a_later_stamp_than_that_of_a_commit_that_may_come_back() -> None:
    """So topics in memory stop too. Else a reader would have seen more than the commit, and never ask for it."""
    house = house_on_disk(MEMORY)
    writer = house.link()
    publish(writer, "a", b"1")
    house.flush()
    batch = house.engine.take_commit()
    house.store.commit(batch)
    house.engine.committed(StoreFailed("it is on the disk, and nobody knows"))
    publish(writer, "m.a", b"2", id=2)
    late = house.link()
    late.send(Subscribe(1, "a"))
    house.flush()
    (subscribed,) = late.take()
    assert isinstance(subscribed, Subscribed)
    assert (2, "store_failed") in refusals(writer)
    house.store.close()

    house.restart()
    back = house.link()
    back.send(Subscribe(1, "a", seen=(house.engine.epoch, subscribed.stamp)))
    house.settle()

    assert back.payloads() == [b"1"]


def test_topics_in_memory_never_give_an_offset_twice_across_lives() -> None:
    house = house_on_disk(MEMORY)
    writer = house.link()
    publish(writer, "m.a", b"1", id=1)
    house.settle()
    (before,) = writer.take()
    house.store.close()

    house.restart()
    again = house.link()
    publish(again, "m.a", b"2", id=1)
    house.settle()

    (after,) = again.take()
    assert isinstance(before, Ack)
    assert isinstance(after, Ack)
    assert after.receipts[0][1] > before.receipts[0][1]


def test_a_restart_keeps_messages_offsets_and_the_epoch() -> None:
    house = house_on_disk()
    writer = house.link()
    publish(writer, "a", b"1", id=1)
    house.settle()
    epoch, stamp = house.engine.epoch, house.engine.stamp
    house.store.close()

    house.restart()
    link = house.link()
    link.send(Subscribe(1, "*", since=("earliest",)))
    publish(link, "a", b"2", id=2)
    house.settle()

    assert (house.engine.epoch, house.engine.stamp > stamp) == (epoch, True)
    messages = link.take()
    assert Ack([[2, 1]]) in messages
    sections = [section for message in messages if isinstance(message, Delivery) for section in message.sections]
    assert [(section.first, section.payloads) for section in sections] == [(0, [b"1"]), (1, [b"2"])]


def test_a_repeat_after_a_restart_is_answered_with_the_first_offsets() -> None:
    house = house_on_disk()
    publisher = house.link(greet=False)
    publisher.send(Hello(publisher="p", incarnation=1))
    publisher.send(Publish(1, [Run("a", [b"1"])], sequence=5))
    house.settle()
    house.store.close()

    house.restart()
    again = house.link(greet=False)
    again.send(Hello(publisher="p", incarnation=1))
    again.send(Publish(9, [Run("a", [b"1"])], sequence=5, retry=True))
    again.send(Publish(10, [Run("a", [b"2"])], sequence=6))
    house.settle()

    assert again.take()[1:] == [Ack([[9, 0], [10, 1]])]
    assert house.engine.stats.repeats == 1


def test_a_slow_reader_goes_on_from_the_disk_where_memory_has_let_go() -> None:
    house = House(Limits(retain_bytes=1_000, unsent_bytes=100), store=FakeDisk.formatted().store())
    mine, writer = reader(house, "a"), house.link()
    mine.reading = False
    mine.sent.append(bytes(200))

    for number in range(50):
        publish(writer, "a", b"%03d" % number + bytes(100))
        house.settle()
    mine.sent.clear()
    mine.reading = True
    house.settle()

    assert [int(payload[:3]) for payload in mine.payloads()] == list(range(50))


@pytest.mark.parametrize("topic", ["a", "m.a"])
def test_a_topic_that_is_freed_leaves_no_offset_to_be_given_again(topic: str) -> None:
    bounds = {"retain_seconds": 5.0, "free_topic_after": 5.0}
    policies = Policies(Policy(seconds=5.0), MEMORY.special)
    house = House(Limits(policies=policies, **bounds), store=FakeDisk.formatted().store())  # type: ignore[arg-type]
    writer = house.link()
    publish(writer, topic, b"1", id=1)
    house.settle()
    (first,) = writer.take()

    for _ in range(5):
        house.wait(6.0)
        publish(writer, "clock", b"")
        house.settle()
        house.retain()
    assert topic not in house.engine.topics
    publish(writer, topic, b"2", id=2)
    house.settle()

    (second,) = writer.take()
    assert isinstance(first, Ack)
    assert isinstance(second, Ack)
    assert second.receipts[0][1] > first.receipts[0][1]
