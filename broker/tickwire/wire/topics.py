"""The grammar of topics and patterns, and which topics a pattern matches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .errors import BadPattern, BadTopic
from .limits import TOPIC_BYTES, TOPIC_LEVELS

ONE, REST = "*", ">"
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f]")


def check_topic(topic: str) -> None:
    """Raise BadTopic unless this names one topic."""
    why = _grammar(topic) or _wildcard(topic)
    if why:
        raise BadTopic(topic, why)


def check_pattern(pattern: str) -> None:
    """Raise BadPattern unless this is a topic, or one with wildcards."""
    why = _grammar(pattern)
    if why is None and REST in pattern.split(".")[:-1]:
        why = "has '>' before its last segment"
    if why:
        raise BadPattern(pattern, why)


def is_reserved(topic: str) -> bool:
    """Whether the topic belongs to the broker: clients read there and do not publish."""
    return topic.startswith("$")


def is_exact(pattern: str) -> bool:
    """Whether the pattern names one topic."""
    return pattern.isalnum() or not any(segment in (ONE, REST) for segment in pattern.split("."))


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> re.Pattern[str]:
    """A regular expression whose `fullmatch` says whether a topic matches the pattern."""
    segments = pattern.split(".")
    parts = [_expression(segment) for segment in segments]
    # Wildcards do not match a first segment that starts with "$".
    guard = r"(?!\$)" if segments[0] in (ONE, REST) else ""
    return re.compile(guard + r"\.".join(parts), re.DOTALL)


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscription to this pattern gets the messages of this topic."""
    return matcher(pattern).fullmatch(topic) is not None


def intersection(one: str, other: str) -> str | None:
    """The pattern of the topics that match both of two patterns; None where there are none."""
    mine, theirs = one.split("."), other.split(".")
    common: list[str] = []
    for at in range(max(len(mine), len(theirs))):
        if at == len(mine) or at == len(theirs):
            return None
        if mine[at] == REST or theirs[at] == REST:
            common += theirs[at:] if mine[at] == REST else mine[at:]
            break
        if mine[at] != theirs[at] and ONE not in (mine[at], theirs[at]):
            return None
        common.append(theirs[at] if mine[at] == ONE else mine[at])
    wild = mine[0] in (ONE, REST) or theirs[0] in (ONE, REST)
    return None if wild and is_reserved(common[0]) else ".".join(common)


def covers(wide: str, narrow: str) -> bool:
    """Whether one pattern matches every topic that another does."""
    return wide == narrow or intersection(wide, narrow) == narrow


def outermost(patterns: Iterable[str]) -> tuple[str, ...]:
    """Those of some patterns that no other of them covers, each once and in their order.

    By a tree of their segments: to hold each against each took 5 ms for the 64 that a grant may have.
    """
    kept = tuple(dict.fromkeys(patterns))
    tree: _Tree = {}
    for pattern in kept:
        node = tree
        for segment in pattern.split("."):
            node = node.setdefault(segment, {})
        node[_END] = {}
    return tuple(pattern for pattern in kept if not _is_covered(tree, pattern.split("."), 0, False))


def _is_covered(node: _Tree, segments: list[str], at: int, wider: bool) -> bool:
    """Whether another pattern below this node covers the rest; `wider` says that what led here was not the same."""
    if at == len(segments):
        return wider and _END in node
    segment = segments[at]
    if (same := node.get(segment)) is not None and _is_covered(same, segments, at + 1, wider):
        return True
    if segment == REST or (at == 0 and segment.startswith("$")):
        return False
    if REST in node:
        return True
    return segment != ONE and ONE in node and _is_covered(node[ONE], segments, at + 1, True)


_Tree = dict[str, "_Tree"]
_END = ""  # of a pattern; no segment is empty


def _expression(segment: str) -> str:
    if segment == ONE:
        return r"[^.]+"
    if segment == REST:
        return r".+"
    return re.escape(segment)


def _grammar(name: str) -> str | None:
    """What is wrong with a topic or pattern, as the end of a sentence."""
    if not name:
        return "is empty"
    plain = name.isascii()  # as most are; then a character is a byte, and none of them a surrogate
    if len(name) > TOPIC_BYTES or (not plain and len(name.encode("utf-8", "surrogatepass")) > TOPIC_BYTES):
        return f"is longer than the limit of {TOPIC_BYTES} bytes"
    if _FORBIDDEN.search(name):
        return "has a space or control character"
    if not plain and any("\ud800" <= character <= "\udfff" for character in name):
        return "is not valid Unicode"
    segments = name.split(".")
    if len(segments) > TOPIC_LEVELS:
        return f"has {len(segments)} segments, over the limit of {TOPIC_LEVELS}"
    if "" in segments:
        return "has an empty segment"
    return None


def _wildcard(name: str) -> str | None:
    if ONE in name or REST in name:
        for segment in name.split("."):
            if segment in (ONE, REST):
                return f"has the wildcard {segment!r}; only subscriptions may"
    return None
