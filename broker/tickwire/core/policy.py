"""How much of which topics is kept, and where."""

from __future__ import annotations

from dataclasses import dataclass

from tickwire.wire.topics import ONE, REST, matches


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept of a topic; None is no bound. Bytes are those of the encoded sections, seconds their age."""

    messages: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    durable: bool = True  # on disk, where the broker has one


@dataclass(frozen=True, slots=True)
class PolicyFor:
    """A policy and the topics it is for."""

    pattern: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Policies:
    """The first whose pattern matches a topic says what is kept of it; `default` where none does."""

    default: Policy = Policy()
    special: tuple[PolicyFor, ...] = ()

    def of(self, topic: str) -> Policy:
        for each in self.special:
            if matches(each.pattern, topic):
                return each.policy
        return self.default

    def may_be_volatile(self, pattern: str) -> bool:
        """Whether a topic that matches the pattern may be one that is not kept on disk."""
        if not self.default.durable:
            return True
        return any(not each.policy.durable and _meet(each.pattern, pattern) for each in self.special)


def _meet(one: str, other: str) -> bool:
    """Whether a topic can match both patterns."""
    mine, others = one.split("."), other.split(".")
    for this, that in zip(mine, others, strict=False):
        if REST in (this, that):
            return True
        if this != that and ONE not in (this, that):
            return False
    return len(mine) == len(others)
