"""What can go wrong, by whose fault: the broker said no, or the bytes were wrong."""

from __future__ import annotations

from typing import Any


class TickwireError(Exception):
    """Everything Tickwire raises on purpose."""


class Refused(TickwireError):
    """The broker said no: certainly nothing was stored or changed.

    `code` is one of the registry in `codes`, `text` a sentence for a person, `details` the facts in it.
    """

    def __init__(self, code: str, text: str, details: dict[str, Any] | None = None) -> None:
        self.code, self.text, self.details = code, text, details or {}
        super().__init__(f"{text} [{code}]")


class WireError(TickwireError):
    """The bytes were wrong: not a frame of this protocol.

    `kind` and `id` are those of the frame as far as they could be read, so that a refusal can be matched to it.
    """

    def __init__(self, code: str, text: str, kind: int | None = None, id: int | None = None) -> None:
        self.code, self.text, self.kind, self.id = code, text, kind, id
        super().__init__(text)


class BadTopic(Refused):
    def __init__(self, topic: str, why: str) -> None:
        super().__init__("bad_topic", f"topic {shown(topic)} {why}")


class BadPattern(Refused):
    def __init__(self, pattern: str, why: str) -> None:
        super().__init__("bad_pattern", f"pattern {shown(pattern)} {why}")


class PayloadTooLarge(Refused):
    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        text = f"payload of {size} bytes exceeds the limit of {limit}"
        super().__init__("payload_too_large", text, {"size": size, "limit": limit})


class TooManyMessages(Refused):
    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        text = f"publish of {count} messages exceeds the limit of {limit} in a frame"
        super().__init__("too_many_messages", text, {"count": count, "limit": limit})


def shown(name: str) -> str:
    """The name as a person can read it, cut where it is long: an error is one line whatever it is about."""
    return repr(name if len(name) <= 64 else name[:61] + "...")
