"""Where `tickwire sub --since` begins: a word, a time ago, a time, or an offset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from tickwire.wire.limits import MAX_INT
from tickwire.wire.topics import is_exact

from ..configuration.quantity import parse_duration
from .client import Mistake

if TYPE_CHECKING:
    from tickwire_client import Client, Position


@dataclass(frozen=True, slots=True)
class At:
    """The message at this offset. Of which epoch only the broker knows: the present one."""

    offset: int


Start = Literal["now", "earliest", "last"] | timedelta | datetime


def read_since(text: str, patterns: tuple[str, ...]) -> Start | At:
    """What was typed. Raises Mistake, with what could be."""
    if text in ("now", "earliest", "last"):
        return text  # type: ignore[return-value]
    if text.startswith("@"):
        return _at(text, patterns)
    if not text[-1:].isdigit():
        try:
            return timedelta(seconds=parse_duration(text))
        except (ValueError, OverflowError):
            pass
    try:
        return datetime.fromisoformat(text).astimezone()  # without a zone, a time is local
    except (ValueError, OverflowError):
        raise Mistake(
            f"--since is {text!r}, but must be earliest, last, a time ago such as 30s, 5m, 2h or 1d, "
            "a time such as 2026-11-25T14:30, or @OFFSET"
        ) from None


def begin(since: Start | At, client: Client, pattern: str) -> Start | Position:
    """The same for the client, once it is connected."""
    from tickwire_client import Position

    return Position(pattern, client.epoch or 0, since.offset) if isinstance(since, At) else since


def _at(text: str, patterns: tuple[str, ...]) -> At:
    if not (text[1:].isascii() and text[1:].isdecimal() and len(text) <= 17 and int(text[1:]) <= MAX_INT):
        raise Mistake(f"--since is {text!r}, but after @ comes an offset, as in @1200")
    if len(patterns) != 1 or not is_exact(patterns[0]):
        raise Mistake(f"--since {text} is an offset of one topic, so give one topic and no wildcard")
    return At(int(text[1:]))
