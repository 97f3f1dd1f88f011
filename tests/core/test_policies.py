"""How much is kept of which topics: by messages, bytes and age, in memory and on disk."""

from __future__ import annotations

import pytest

from house.kept_store import KeptStore
from house.link import House
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.wire.messages import Publish, Run

POLICIES = Policies(
    Policy(messages=3),
    (
        PolicyFor("few.>", Policy(messages=1)),
        PolicyFor("small.*", Policy(bytes=600)),
        PolicyFor("brief.*", Policy(seconds=5.0)),
        PolicyFor("memory.*", Policy(durable=False)),
    ),
)


def publish(house: House, topic: str, count: int, size: int = 1) -> None:
    writer = house.link()
    for _ in range(count):
        writer.send(Publish(None, [Run(topic, [bytes(size)])]))
        house.settle()


@pytest.mark.parametrize(
    ("topic", "kept"), [("few.a", 1), ("few.a.b", 1), ("small.a", 2), ("small.a.b", 3), ("anything", 3)]
)
def test_the_first_pattern_that_matches_says_how_much_is_kept_in_memory(topic: str, kept: int) -> None:
    house = House(Limits(policies=POLICIES))

    publish(house, topic, 10)

    log = house.engine.topics[topic].log
    assert (log.oldest, log.end) == (10 - kept, 10)


def test_age_is_a_bound_of_its_own() -> None:
    house = House(Limits(policies=POLICIES))
    publish(house, "brief.a", 2)
    publish(house, "other", 2)

    house.wait(6)

    assert house.engine.topics["brief.a"].log.oldest == 2
    assert house.engine.topics["other"].log.oldest == 0


def test_what_is_kept_on_disk_does_not_depend_on_what_is_kept_in_memory() -> None:
    house = House(Limits(policies=POLICIES, retain_bytes=1, retain_seconds=1.0), store=KeptStore())
    publish(house, "other", 10)
    publish(house, "memory.a", 10)

    house.retain()
    house.wait(2)

    log = house.engine.topics["other"].log
    assert (log.oldest, log.start, log.end) == (7, 10, 10)
    assert house.engine.topics["memory.a"].log.stored_from is None
    assert "memory.a" not in house.store.topics


def test_whole_sections_are_kept_so_rather_more_than_less() -> None:
    house = House(Limits(policies=POLICIES))
    writer = house.link()

    for _ in range(3):
        writer.send(Publish(None, [Run("other", [b"x"] * 2)]))
        house.settle()

    assert house.engine.topics["other"].log.oldest == 2


@pytest.mark.parametrize(
    ("pattern", "may"),
    [("memory.a", True), ("*.a", True), (">", True), ("memory.>", True), ("memory", False), ("few.>", False)],
)
def test_which_patterns_may_match_topics_that_are_not_on_disk(pattern: str, may: bool) -> None:
    assert POLICIES.may_be_volatile(pattern) is may
