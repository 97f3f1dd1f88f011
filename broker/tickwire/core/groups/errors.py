"""What a consumer group refuses."""

from __future__ import annotations

from collections.abc import Callable

from tickwire.wire.errors import Refused


class BadGroup(Refused):
    def __init__(self, group: str) -> None:
        text = f"group {group!r} must be one segment of a topic, as in $dead.billing: without '.', '*', '>' or a space"
        super().__init__("bad_group", text)


class GroupConflict(Refused):
    """The group is there, and not what was asked for."""

    def __init__(self, group: str, pattern: str, live: bool) -> None:
        self.group, self.pattern = group, pattern
        what = "is a live queue group on" if live else "consumes"
        super().__init__("group_conflict", f"group {group!r} {what} {pattern!r}", {"pattern": pattern})

    def seen_by(self, may_see: Callable[[str], bool]) -> Refused:
        """The same for somebody who may perhaps not know of what."""
        if may_see(self.pattern):
            return self
        return Refused("group_conflict", f"group {self.group!r} is there, and for something else")


class TooManyGroups(Refused):
    def __init__(self, limit: int) -> None:
        text = f"the broker holds {limit} consumer groups already, which is the limit"
        super().__init__("too_many_groups", text, {"limit": limit})


class AckRefused(Refused):
    """An ack of messages that are not the consumer's to settle: `topic` and `offset` name the first of them."""

    def __init__(self, code: str, topic: str, offset: int, why: str) -> None:
        self.topic, self.offset = topic, offset
        text = f"offset {offset} of {topic!r} {why}; what else the frame named counts"
        super().__init__(code, text, {"topic": topic, "offset": offset})


class AckUnknown(AckRefused):
    def __init__(self, topic: str, offset: int) -> None:
        super().__init__("ack_unknown", topic, offset, "is nothing that this group was ever given")


class AckForeign(AckRefused):
    def __init__(self, topic: str, offset: int) -> None:
        super().__init__("ack_foreign", topic, offset, "is with another member of the group")


class AckFuture(AckRefused):
    def __init__(self, topic: str, offset: int) -> None:
        super().__init__("ack_future", topic, offset, "was not handed out yet")


class AckRepeated(AckRefused):
    def __init__(self, topic: str, offset: int) -> None:
        super().__init__("ack_repeated", topic, offset, "is settled already")
