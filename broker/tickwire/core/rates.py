"""How fast one may ask: buckets of tokens for frames, messages, bytes and subscriptions (RFC 2697 has the idea)."""

from __future__ import annotations

from dataclasses import dataclass, fields

PATIENCE = 5.0  # seconds that one is made to wait; what would take longer is refused
LENIENCE = 100  # such refusals in a row, after which the connection is closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one may ask for in a second, in the long run; 0 is no bound. `burst` is how many seconds' worth at once."""

    frames: float = 0.0
    messages: float = 0.0
    bytes: float = 0.0
    subscriptions: float = 0.0
    burst: float = 2.0

    @property
    def bounded(self) -> bool:
        return self.of_frames or self.subscriptions > 0

    @property
    def of_frames(self) -> bool:
        """Whether there is one that a publish counts for."""
        return bool(self.frames or self.messages or self.bytes)

    def for_welcome(self) -> dict[str, int]:
        return {f"{name}_per_second": int(getattr(self, name)) for name in NAMES if getattr(self, name)}


NAMES = tuple(field.name for field in fields(Rates) if field.name != "burst")


class Meter:
    """The buckets of one connection, or of one subject. Times are seconds of a steady clock.

    Of a bucket it knows when it would be full again: a token less for each interval before that.
    """

    __slots__ = ("__weakref__", "_rates", *NAMES)  # not a dict: that is 230 bytes a connection

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self.frames = self.messages = self.bytes = self.subscriptions = 0.0

    def spend(self, now: float, frames: int, messages: int, bytes: int, subscriptions: int) -> None:
        """Take what was asked for, also where it is not there: then one is in debt."""
        rates = self._rates
        if rates.frames:
            self.frames = max(self.frames, now) + frames / rates.frames
        if rates.messages:
            self.messages = max(self.messages, now) + messages / rates.messages
        if rates.bytes:
            self.bytes = max(self.bytes, now) + bytes / rates.bytes
        if rates.subscriptions:
            self.subscriptions = max(self.subscriptions, now) + subscriptions / rates.subscriptions

    def debt(self, now: float) -> float:
        """Seconds until what was spent is paid for."""
        full_at = max(self.frames, self.messages, self.bytes, self.subscriptions)
        return max(0.0, full_at - now - self._rates.burst)

    def worst(self) -> tuple[str, float]:
        """What has cost most, and the rate of it."""
        name = max(NAMES, key=lambda name: float(getattr(self, name)))
        return name, getattr(self._rates, name)
