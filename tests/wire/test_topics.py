"""The grammar of topics and patterns, and which topics a pattern matches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwire.wire.errors import BadPattern, BadTopic
from tickwire.wire.topics import check_pattern, check_topic, is_exact, is_reserved, matches

from .vectors import load

TABLES = load("topics.json")


@pytest.mark.parametrize("topic", TABLES["topics"]["valid"])
def test_a_valid_topic_is_a_valid_pattern_that_matches_itself_only(topic: str) -> None:
    check_topic(topic)
    check_pattern(topic)

    assert is_exact(topic)
    assert matches(topic, topic)
    assert not matches(topic, topic + "x")


@pytest.mark.parametrize("case", TABLES["topics"]["invalid"], ids=lambda case: repr(case["topic"])[:40])
def test_an_invalid_topic_is_refused_with_what_is_wrong_about_it(case: dict[str, str]) -> None:
    with pytest.raises(BadTopic) as refused:
        check_topic(case["topic"])

    assert refused.value.code == "bad_topic"
    assert case["names"] in refused.value.text
    assert refused.value.text.isprintable()


@pytest.mark.parametrize("pattern", TABLES["patterns"]["valid"])
def test_a_valid_pattern_is_accepted(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize("case", TABLES["patterns"]["invalid"], ids=lambda case: repr(case["pattern"])[:40])
def test_an_invalid_pattern_is_refused_with_what_is_wrong_about_it(case: dict[str, str]) -> None:
    with pytest.raises(BadPattern) as refused:
        check_pattern(case["pattern"])

    assert refused.value.code == "bad_pattern"
    assert case["names"] in refused.value.text


def test_a_topic_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(BadTopic, match="Unicode"):
        check_topic("a\ud800")


def test_a_topic_of_a_mebibyte_is_refused_in_one_short_line() -> None:
    with pytest.raises(BadTopic) as refused:
        check_topic("a" * (1 << 20))

    assert len(refused.value.text) < 200


def test_topics_whose_first_segment_starts_with_a_dollar_are_reserved() -> None:
    assert all(is_reserved(topic) for topic in TABLES["reserved"]["true"])
    assert not any(is_reserved(topic) for topic in TABLES["reserved"]["false"])


@pytest.mark.parametrize("case", TABLES["matches"], ids=lambda case: f"{case['pattern']} {case['topic']}")
def test_a_pattern_matches_the_topics_of_the_table(case: dict[str, Any]) -> None:
    assert matches(case["pattern"], case["topic"]) == case["matches"]


SEGMENTS = st.sampled_from(["a", "b", "ab", "*", ">", "$a", "a*", "é", "a+", "[a]", "\u2028"])
TOPICS = st.lists(SEGMENTS.filter(lambda segment: segment not in "*>"), min_size=1, max_size=5)
PATTERNS = st.tuples(
    st.lists(SEGMENTS.filter(lambda segment: segment != ">"), max_size=4), st.sampled_from([["a"], ["*"], [">"]])
).map(lambda parts: parts[0] + parts[1])


@given(PATTERNS, TOPICS)
@example([">"], ["$a", "b"])
def test_the_matcher_agrees_with_one_that_compares_segment_by_segment(pattern: list[str], topic: list[str]) -> None:
    check_pattern(".".join(pattern))
    check_topic(".".join(topic))

    assert matches(".".join(pattern), ".".join(topic)) == _naive(pattern, topic)


@given(TOPICS, st.data())
def test_a_pattern_made_from_a_topic_matches_it(topic: list[str], data: st.DataObject) -> None:
    pattern = [data.draw(st.sampled_from([segment, "*"])) for segment in topic]
    if data.draw(st.booleans()):
        pattern[data.draw(st.integers(0, len(pattern) - 1)) :] = [">"]

    expected = pattern[0] not in ("*", ">") or not topic[0].startswith("$")

    assert matches(".".join(pattern), ".".join(topic)) == expected


def _naive(pattern: list[str], topic: list[str]) -> bool:
    if pattern[0] in ("*", ">") and topic[0].startswith("$"):
        return False
    for index, wanted in enumerate(pattern):
        if wanted == ">":
            return len(topic) > index
        if index >= len(topic) or wanted not in ("*", topic[index]):
            return False
    return len(pattern) == len(topic)
