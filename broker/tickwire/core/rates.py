"""How fast one may ask: buckets of tokens for frames, messages, bytes and subscriptions (RFC 2697 has the idea)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import Goodbye, RateExceeded

AT_ONCE = 0.05  # seconds' worth that a connection draws at once: what it asks for is then counted by subtraction alone
PATIENCE = 5.0  # seconds that one is made to wait; what would take longer is refused
_MESSAGE_BYTES = 2  # of a frame, that a message takes at least
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
    def of_frames(self) -> bool:
        """Whether there is one that a publish counts for."""
        return bool(self.frames or self.messages or self.bytes)

    def for_welcome(self) -> dict[str, int]:
        return {f"{name}_per_second": int(getattr(self, name)) for name in NAMES if getattr(self, name)}

    def least(self, other: Rates) -> Rates:
        """Of each the smaller one."""
        both = {name: [rate for each in (self, other) if (rate := getattr(each, name))] for name in NAMES}
        return Rates(**{name: min(rates, default=0.0) for name, rates in both.items()}, burst=self.burst)


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

    def give_back(self, messages: int, bytes: int) -> None:
        """What was taken just now was not had."""
        if self._rates.messages:
            self.messages -= messages / self._rates.messages
        if self._rates.bytes:
            self.bytes -= bytes / self._rates.bytes

    def rate(self, name: str) -> float:
        """What comes of it in a second; 0 is no bound."""
        return float(getattr(self._rates, name))

    def debt(self, now: float) -> float:
        """Seconds until what was spent is paid for."""
        return max(0.0, self.full_at - now - self._rates.burst)

    @property
    def full_at(self) -> float:
        """When all that was spent is paid for, and as much saved as can be."""
        return max(self.frames, self.messages, self.bytes, self.subscriptions)

    def worst(self) -> tuple[str, float]:
        """What has cost most, and the rate of it."""
        name = max(NAMES, key=lambda name: float(getattr(self, name)))
        return name, getattr(self._rates, name)


class Tab:
    """What one connection has drawn of its own meter and of its subject's, and whether it must wait for more.

    `frames`, `messages` and `bytes` are what is left; whoever takes of it subtracts, and calls `draw` where one of them
    is below zero.
    """

    __slots__ = ("_meters", "bytes", "frames", "messages", "owes_until", "refuses_until", "turned_away")

    def __init__(self, meters: tuple[Meter, ...]) -> None:
        self._meters = meters
        self.frames = self.messages = self.bytes = 0
        self.owes_until: float | None = None  # until when nothing is read of it
        self.refuses_until: float | None = None  # until when what it asks for is refused, so much it has asked for
        self.turned_away = 0  # frames that were refused in a row

    def draw(self, now: float, subscriptions: int = 0) -> None:
        """Draw what was taken already, and some for what comes next; it may be in debt then."""
        left = {}
        for name in ("frames", "messages", "bytes"):
            least = min((rate for meter in self._meters if (rate := meter.rate(name))), default=0.0)
            left[name] = int(least * AT_ONCE) if least else 1 << 60
        spent = {name: left[name] - getattr(self, name) for name in left}
        for meter in self._meters:
            meter.spend(now, spent["frames"], spent["messages"], spent["bytes"], subscriptions)
        self.frames, self.messages, self.bytes = left["frames"], left["messages"], left["bytes"]
        self._look(now)

    def pay(self, now: float, messages: int, bytes: int) -> RateExceeded | None:
        """Draw what a frame took. Where that takes longer than one is made to wait, only the frame itself is paid for.

        Then it returns why. Raises Goodbye where it does not stop asking.
        """
        self.draw(now)
        if self.refuses_until is None:
            return None
        refused = self.refusal(now)
        for meter in self._meters:
            meter.give_back(messages, bytes)
        self._look(now)
        return refused

    def _look(self, now: float) -> None:
        debt = max(meter.debt(now) for meter in self._meters)
        self.owes_until = now + debt if 0 < debt <= PATIENCE else None
        self.refuses_until = now + debt - PATIENCE if debt > PATIENCE else None

    def takes(self, count: int, size: int) -> bool:
        """Whether so many frames can be taken of what is left, whatever is in them."""
        return size <= self.bytes and size // _MESSAGE_BYTES <= self.messages and count <= self.frames

    def owed(self, now: float) -> list[Meter]:
        """The meters that others share, as far as they are not full: they are to be remembered."""
        return [meter for meter in self._meters[1:] if meter.full_at > now]

    def refuses(self, now: float) -> bool:
        """Whether what would be taken now is refused."""
        if self.refuses_until is not None and self.refuses_until <= now:
            self.refuses_until = None
        return self.refuses_until is not None

    def refusal(self, now: float) -> RateExceeded:
        """With the limit that it was. Raises Goodbye where it does not stop asking."""
        self.turned_away += 1
        dearest = max(self._meters, key=lambda meter: meter.debt(now))
        refused = RateExceeded(*dearest.worst(), dearest.debt(now))
        if self.turned_away > LENIENCE:
            raise Goodbye("rate_exceeded", f"{refused.text}, and {LENIENCE} frames were refused in a row")
        return refused
