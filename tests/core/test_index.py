"""The index of patterns gives what the grammar says, for any set of patterns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickwire.core.index import Index
from tickwire.fanout.peer import Interest
from tickwire.wire.topics import matches

SEGMENT = st.sampled_from(["a", "b", "$s", "*"])
PATTERN = st.tuples(st.lists(SEGMENT, min_size=1, max_size=4), st.booleans()).map(
    lambda parts: ".".join(parts[0] + [">"] if parts[1] else parts[0])
)
TOPIC = st.lists(st.sampled_from(["a", "b", "$s", "c"]), min_size=1, max_size=5).map(".".join)


def patterns_of(interests: tuple[Interest, ...]) -> list[str]:
    return sorted(interest.pattern for interest in interests)


@given(st.sets(PATTERN | st.just(">"), max_size=12), TOPIC)
def test_the_index_finds_exactly_the_patterns_that_match(patterns: set[str], topic: str) -> None:
    index = Index()
    for pattern in patterns:
        index.add(pattern)

    assert patterns_of(index.match(topic)) == sorted(p for p in patterns if matches(p, topic))


@given(st.lists(PATTERN, min_size=1, max_size=12, unique=True), st.data(), TOPIC)
def test_a_pattern_that_is_discarded_is_not_found_and_leaves_the_others(
    patterns: list[str], data: st.DataObject, topic: str
) -> None:
    index = Index()
    interests = {pattern: index.add(pattern) for pattern in patterns}
    gone = data.draw(st.sets(st.sampled_from(patterns)))

    for pattern in gone:
        index.discard(interests[pattern])

    assert patterns_of(index.match(topic)) == sorted(p for p in patterns if p not in gone and matches(p, topic))
    assert len(index) == len(patterns) - len(gone)


def test_only_a_wildcard_makes_other_topics_match_anew() -> None:
    index = Index()

    exact = index.add("a.b")
    assert index.generation == 0
    index.discard(exact)
    assert index.generation == 0
    wild = index.add("a.*")
    assert index.generation == 1
    index.discard(wild)
    assert index.generation == 2
