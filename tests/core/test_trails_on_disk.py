"""Subscriptions that start in a past which only the store has, while topics are dropped, freed and come back."""

from __future__ import annotations

from house.kept_store import KeptStore
from house.link import House, told
from tickwire.core import trails
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.core.reads import ReadPlace, ReadSections
from tickwire.wire.codes import EVICTED, FREED
from tickwire.wire.messages import Publish, Refusal, Run, Subscribe, Subscribed

ONE = Policies(special=(PolicyFor("old.*", Policy(seconds=50.0)), PolicyFor("m.*", Policy(durable=False))))


def kept_house(**limits: float) -> House:
    """A disk that keeps `old.*` for 50 s, and a memory that keeps nothing for long."""
    return House(Limits(policies=ONE, retain_seconds=1.0, free_topic_after=5.0, **limits), store=KeptStore())  # type: ignore[arg-type]


def publish(house: House, topic: str, *payloads: bytes) -> None:
    """One commit for each."""
    writer = house.link()
    for payload in payloads:
        writer.send(Publish(None, [Run(topic, [payload])]))
        house.settle()


def seen(house: House) -> tuple[int, int]:
    return house.engine.epoch, house.engine.stamp


def test_what_only_the_store_has_is_found_by_stamp_and_by_time() -> None:
    house = kept_house()
    publish(house, "a", b"1")
    before, at = seen(house), house.clock.time_us
    house.wait(10)
    publish(house, "a", b"2", b"3")
    house.wait(10)
    assert house.engine.topics["a"].log.start == 3

    links = [house.link() for _ in range(3)]
    links[0].send(Subscribe(1, "a", seen=before))
    links[1].send(Subscribe(1, "*", since=("time", at + 1)))
    links[2].send(Subscribe(1, "a", seen=before, positions=[("a", 2)]))
    house.settle()

    assert told(links[0].take()) == told(links[1].take()) == [("a", 1, b"2"), ("a", 2, b"3"), ("join", 1)]
    assert told(links[2].take()) == [("a", 2, b"3"), ("join", 1)]


def test_what_the_store_has_and_nobody_was_shown_yet_comes_live_and_once() -> None:
    house = kept_house()
    publish(house, "a", b"1")
    house.wait(10)
    reader = house.link()
    reader.send(Subscribe(1, "a", since=("earliest",)))
    house.flush()
    (read,) = house.engine.take_reads()
    publisher = house.link()
    publisher.send(Publish(None, [Run("a", [b"2"])]))
    house.flush()

    batch = house.engine.take_commit()
    house.store.commit(batch)
    read.run(house.store)
    house.engine.read_done(read)
    house.engine.sweep()
    assert told(reader.take()) == [("a", 0, b"1"), ("join", 1)]

    house.engine.committed()
    house.settle()
    assert told(reader.take()) == [("a", 1, b"2")]


def test_what_was_dropped_while_the_store_was_asked_for_it_is_a_gap() -> None:
    house = kept_house()
    publish(house, "old.a", b"1", b"2")
    before = seen(house)
    publish(house, "old.a", b"3")
    house.wait(10)
    reader = house.link()
    reader.send(Subscribe(1, "old.a", seen=before))
    house.flush()
    (read,) = house.engine.take_reads()
    assert isinstance(read, ReadPlace)

    house.clock.now += 60
    dropped = house.store.retain(ONE.of, house.clock.time_us)
    read.run(house.store)
    house.engine.read_done(read)
    house.engine.retained(dropped)
    house.settle()

    assert told(reader.take()) == [("old.a", 0, 3, EVICTED), ("join", 1)]


def test_a_topic_stays_while_a_subscription_is_on_its_way_to_it() -> None:
    house = kept_house()
    publish(house, "old.a", b"1")
    house.wait(10)
    reader = house.link()
    reader.send(Subscribe(1, "old.a", since=("earliest",)))
    house.flush()

    house.clock.now += 60
    house.retain()
    for _ in range(3):
        house.wait(10)
    house.settle()
    publish(house, "old.a", b"2")

    assert told(reader.take()) == [("old.a", 0, 1, EVICTED), ("join", 1), ("old.a", 1, b"2")]


def test_a_topic_that_was_freed_and_came_back_on_the_way_goes_on_where_it_stood() -> None:
    """Nobody had to be told of it by position: the gap says what was between."""
    house = House(Limits(retain_seconds=5.0, free_topic_after=5.0))
    writer = house.link()
    for payload in (b"1", b"2"):
        writer.send(Publish(None, [Run("a", [payload])]))
        house.flush()
    topic = house.engine.topics["a"]
    trail = trails.Trail(house.engine.topics, Subscribe(1, "a", since=("earliest",)), house.engine.epoch)
    trail.at_present()

    house.engine.topics._free(topic)
    house.engine.topics.floor = 7
    writer.send(Publish(None, [Run("a", [b"3"])]))
    house.flush()
    trail.at_present()

    (cursor,) = trail.cursors.items()
    assert cursor == (house.engine.topics["a"].log, 0)


def test_a_round_over_the_topics_counts_as_of_its_beginning(monkeypatch) -> None:
    monkeypatch.setattr(trails, "_LOOKS", 2)
    house = House()
    writer = house.link()
    for topic in ("a", "b", "c", "d", "e"):
        writer.send(Publish(None, [Run(topic, [b"1"])]))
        house.flush()
    trail = trails.Trail(house.engine.topics, Subscribe(1, "*", since=("earliest",)), house.engine.epoch)

    trail.advance()
    writer.send(Publish(None, [Run("new", [b"1"])]))
    house.flush()
    while not trail.complete:
        trail.advance()

    assert {log.topic: cursor for log, cursor in trail.cursors.items()} == dict.fromkeys(
        ["a", "b", "c", "d", "e", "new"], 0
    )


def test_a_stamp_that_was_never_given_is_refused() -> None:
    house = kept_house()
    link = house.link()

    link.send(Subscribe(1, "*", seen=(house.engine.epoch, house.engine.stamp + 1)))
    house.settle()

    (refusal,) = link.take()
    assert isinstance(refusal, Refusal)
    assert refusal.code == "future_position"


def test_a_reader_of_patterns_that_may_match_topics_in_memory_is_told_that_they_are_lost_after_a_restart() -> None:
    house = kept_house()
    publish(house, "m.a", b"1")
    publish(house, "a.a", b"1")
    before = seen(house)

    house.restart()
    all_of_them, on_disk = house.link(), house.link()
    all_of_them.send(Subscribe(1, "*.a", seen=before))
    on_disk.send(Subscribe(1, "a.>", seen=before))
    house.settle()

    assert told(all_of_them.take()) == [("*.a", None, None, FREED), ("join", 1)]
    assert told(on_disk.take()) == []


def test_an_offset_that_somebody_was_told_is_not_given_to_others_though_the_broker_ended_right_then() -> None:
    """A topic was freed, another one began above it, and the store had heard of neither."""
    house = kept_house()
    publish(house, "old.a", b"1", b"2", b"3")
    house.clock.now += 60
    house.retain()
    house.wait(6)
    house.wait(6)
    assert "old.a" not in house.engine.topics
    link = house.link()
    link.send(Subscribe(1, "new"))
    house.flush()
    (subscribed,) = link.take()
    assert isinstance(subscribed, Subscribed)
    assert subscribed.offset == 3

    house.restart()
    back = house.link()
    back.send(Subscribe(1, "new", seen=seen(house), positions=[("new", 3)]))
    publish(house, "new", b"x")

    assert told(back.take()) == [("new", 3, b"x")]


def test_a_store_that_has_nothing_to_say_lets_a_reader_go_on_behind_a_gap() -> None:
    house = kept_house()
    publish(house, "a", b"1", b"2")
    house.wait(10)
    reader = house.link()
    reader.send(Subscribe(1, "a", since=("earliest",)))
    house.flush()
    (read,) = house.engine.take_reads()
    assert isinstance(read, ReadSections)

    del house.store.topics["a"]
    read.run(house.store)
    house.engine.read_done(read)
    house.settle()

    assert told(reader.take()) == [("a", 0, 2, "corrupt"), ("join", 1)]


def test_a_topic_that_was_there_all_the_time_is_not_said_to_be_freed_after_a_restart() -> None:
    house = kept_house()
    publish(house, "old.a", b"1")
    house.clock.now += 60
    house.retain()
    house.wait(6)
    house.wait(6)
    publish(house, "a", b"2")
    before = seen(house)
    publish(house, "old.b", b"3")
    house.clock.now += 60
    house.retain()
    house.wait(6)
    house.wait(6)
    publish(house, "b", b"4")
    assert before[1] < house.engine.topics.freed_stamp

    house.restart()
    back = house.link()
    back.send(Subscribe(1, "a", seen=before))
    house.settle()

    assert told(back.take()) == []
