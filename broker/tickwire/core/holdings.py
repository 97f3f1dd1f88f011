"""What subjects hold of the broker: connections, topics that they made, consumer groups that they began.

Counted from the start of the broker on: what is on a disk from before belongs to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tickwire.wire.errors import shown

from .errors import Goodbye, HoldsTooMany

_COME_BACK = 5_000  # milliseconds, after which one of its connections may have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much one subject may hold at a time; 0 is no bound."""

    connections: int = 0
    topics: int = 0
    groups: int = 0

    def __bool__(self) -> bool:
        return bool(self.connections or self.topics or self.groups)

    def for_welcome(self) -> dict[str, int]:
        """What a client is told of it."""
        return {f"subject_{name}": limit for name in _NAMES if (limit := getattr(self, name))}


_NAMES = tuple(field.name for field in fields(Allowance))


class Holding:
    """What one subject holds. Whatever it has, has this; so it is there as long as that."""

    __slots__ = ("__weakref__", "_subject", "allowance", "connections", "groups", "topics")

    def __init__(self, subject: str, allowance: Allowance) -> None:
        self._subject, self.allowance = subject, allowance
        self.connections = self.topics = self.groups = 0

    def connect(self) -> None:
        """One more connection. Raises Goodbye where that is one too many."""
        limit = self.allowance.connections
        if limit and self.connections >= limit:
            text = f"subject {shown(self._subject)} has {limit} connections already, which is the limit"
            raise Goodbye("too_many_of_subject", text, _COME_BACK)
        self.connections += 1

    def check_topics(self, more: int) -> None:
        """Raise HoldsTooMany unless it may make so many topics more."""
        limit = self.allowance.topics
        if limit and self.topics + more > limit:
            raise HoldsTooMany(self._subject, "topics", limit)

    def check_group(self) -> None:
        """Raise HoldsTooMany unless it may begin one more consumer group."""
        limit = self.allowance.groups
        if limit and self.groups >= limit:
            raise HoldsTooMany(self._subject, "groups", limit)
