"""What two patterns have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickwire.wire.topics import covers, intersection, matches, outermost

words = st.sampled_from(["a", "b", "$c"])
topics = st.lists(words, min_size=1, max_size=4).map(".".join)
patterns = st.builds(
    lambda segments, rest: ".".join([*segments, ">"] if rest or not segments else segments),
    st.lists(words | st.just("*"), max_size=3),
    st.booleans(),
)


@given(patterns, patterns, topics)
def test_the_intersection_matches_what_both_do(one: str, other: str, topic: str) -> None:
    both = matches(one, topic) and matches(other, topic)
    common = intersection(one, other)

    assert (common is not None and matches(common, topic)) is both
    assert common == intersection(other, one)


@given(patterns, patterns, topics)
def test_what_is_covered_matches_nothing_else(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(st.lists(patterns | topics, max_size=8))
def test_the_outermost_are_those_that_no_other_covers(given: list[str]) -> None:
    naive = [each for each in dict.fromkeys(given) if not any(other != each and covers(other, each) for other in given)]

    assert list(outermost(given)) == naive


def test_by_example() -> None:
    assert intersection("prices.>", "*.nasdaq.*") == "prices.nasdaq.*"
    assert intersection(">", "a.*.>") == "a.*.>"
    assert intersection("a.*", "a.b.c") is None
    assert intersection(">", "$dead.x") is None
    assert covers("prices.>", "prices.*.last")
    assert not covers("prices.*", "prices.>")
    assert covers("*", "a")
    assert not covers("*", "$a")
