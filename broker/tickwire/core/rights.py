"""What somebody may do with which topics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from tickwire.wire.errors import Refused
from tickwire.wire.topics import check_pattern, check_topic, covers, intersection, is_reserved, matcher, outermost

from .errors import Forbidden

GRANT_PATTERNS = 64  # of one grant: each is looked at when its holder subscribes
_KNOWN = 1_024  # topics of which a grant remembers whether it allows them


class Grant:
    """The topics that one may do something with. Get one from `grant`: that of the same patterns is the same object."""

    __slots__ = ("__weakref__", "_covers", "_known", "_matchers", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self._matchers = [matcher(pattern).fullmatch for pattern in patterns]
        self._known: dict[str, bool] = {}
        self._covers: dict[str, bool] = {}

    def allows(self, topic: str) -> bool:
        allowed = self._known.get(topic)
        if allowed is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            allowed = self._known[topic] = any(match(topic) is not None for match in self._matchers)
        return allowed

    def covers(self, pattern: str) -> bool:
        """Whether one of its patterns matches all that this one does."""
        covered = self._covers.get(pattern)
        if covered is None:
            if len(self._covers) >= _KNOWN:
                self._covers.clear()
            covered = self._covers[pattern] = any(covers(mine, pattern) for mine in self.patterns)
        return covered

    def narrow(self, pattern: str) -> tuple[str, ...]:
        """What is left of a pattern: those of its topics that are allowed, as patterns of which none covers another."""
        if self.covers(pattern):
            return (pattern,)
        return outermost(common for mine in self.patterns if (common := intersection(mine, pattern)) is not None)


_GRANTS: WeakValueDictionary[tuple[str, ...], Grant] = WeakValueDictionary()


def grant(patterns: Iterable[str]) -> Grant:
    """The grant of these patterns, which have been checked."""
    key = tuple(sorted(set(patterns)))
    found = _GRANTS.get(key)
    if found is None:
        found = _GRANTS[key] = Grant(key)
    return found


@dataclass(frozen=True, slots=True)
class Rights:
    """What one may do; None is everything."""

    publish: Grant | None = None
    subscribe: Grant | None = None
    consume: Grant | None = None

    def readable(self, pattern: str) -> tuple[str, ...]:
        """The patterns to subscribe to in place of one. Raises Forbidden where nothing of it may be read."""
        if self.subscribe is None:
            return (pattern,)
        patterns = self.subscribe.narrow(pattern)
        if not patterns:
            raise Forbidden("subscribe to", pattern)
        return patterns

    def check_share(self, pattern: str) -> None:
        """Raise unless all of a pattern may be read: of a group's messages each member gets any."""
        if self.subscribe is not None and not self.subscribe.covers(pattern):
            raise Forbidden("subscribe together with others to all of", pattern)

    def check_consume(self, pattern: str) -> None:
        if not self.may_consume(pattern):
            raise Forbidden("consume all of", pattern)

    def may_consume(self, pattern: str) -> bool:
        return self.consume is None or self.consume.covers(pattern)


EVERYTHING = Rights()
NOTHING = Rights(grant(()), grant(()), grant(()))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection belongs to, and what that is good for. `subject` is None for somebody nobody knows.

    It is good for nothing unless it says so. `expires_at` is Unix seconds; `token` is the token's own id (`jti`), by
    which it can be revoked; `claims_rights` says whether the rights are those of the token, whatever the configuration
    says.
    """

    subject: str | None = None
    rights: Rights = NOTHING
    expires_at: float | None = None
    token: str | None = None
    claims_rights: bool = False

    @classmethod
    def of(
        cls,
        subject: str,
        *,
        publish: Iterable[str] | None = (),
        subscribe: Iterable[str] | None = (),
        consume: Iterable[str] | None = (),
        expires_at: float | None = None,
    ) -> Identity:
        """Somebody with lists of patterns, in which `{sub}` stands for the subject; None for a list is all topics.

        A pattern is left out where `{sub}` is not one plain segment of a topic: a subject `*` is no wildcard. Raises
        BadPattern, and TypeError or ValueError for what is no subject or no list.
        """
        if not isinstance(subject, str):
            raise TypeError(f"subject must be a str, not {type(subject).__name__}")
        if not subject:
            raise ValueError("subject must not be empty")
        given = {"publish": publish, "subscribe": subscribe, "consume": consume}
        return cls(subject, Rights(**{name: _granted(each, name, subject) for name, each in given.items()}), expires_at)


ANYBODY = Identity(rights=EVERYTHING)

SUB = "{sub}"
_STAND_IN = "x"


def check_pattern_with_subject(pattern: str) -> None:
    """Raises BadPattern for what is none, whatever the subject is."""
    check_pattern(pattern.replace(SUB, _STAND_IN))


def fill(patterns: Iterable[str], subject: str | None) -> Grant:
    """The grant of patterns, which have been checked, with their subject.

    Without those in which that would be more or less than one plain segment, or the whole too long.
    """
    return grant(filled for each in patterns if (filled := _fill(each, subject)) is not None)


def _granted(patterns: Iterable[str] | None, name: str, subject: str) -> Grant | None:
    if patterns is None:
        return None
    if isinstance(patterns, str):
        raise TypeError(f"{name} must be a list of patterns, not a str")
    patterns = tuple(patterns)
    for pattern in patterns:
        check_pattern_with_subject(pattern)
    return fill(patterns, subject)


def _fill(pattern: str, subject: str | None) -> str | None:
    if SUB not in pattern:
        return pattern
    if subject is None or "." in subject or is_reserved(subject):
        return None
    filled = pattern.replace(SUB, subject)
    try:
        check_topic(subject)
        check_pattern(filled)
    except Refused:
        return None
    return filled
