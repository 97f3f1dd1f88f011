"""What a consumer has from the broker, and for how long. Pure: the shell says when time has passed."""

from __future__ import annotations

from .messages import Section

TICKS = 6  # in an ack timeout
_RENEWED_AT = 2  # ticks: once in a third of the timeout or sooner, so that one that is late does no harm
_LAPSED_AT = TICKS - 1  # before the broker gives it to another


class Held(Section):
    """A section that a group's member has until it has settled all of it."""

    __slots__ = ("age", "connection", "lapsed", "open", "seen", "waited")

    def __init__(self, section: Section, connection: int) -> None:
        super().__init__(
            *(section.topic, section.epoch, section.first, section.time_us, section.payloads, section.format),
            section.attempt,
        )
        self.connection = connection  # the one that brought it
        self.open = len(section.payloads)  # of its messages, those that are not settled
        self.seen = 0  # the application has had those before this index
        self.age = 0  # ticks since the broker began to wait for it
        self.waited = False  # the broker was told that it waits here
        self.lapsed = False  # its time is over, or its connection: what was not seen is with another by now


class Holding:
    """All that a member holds. Its time begins anew while it waits, until the application has stopped taking."""

    __slots__ = ("_held", "_tidy_at", "connection", "idle", "open")

    def __init__(self) -> None:
        self.connection = 0  # counts them
        self.open = 0  # messages that are not settled
        self.idle = 0  # ticks since the application took one, while it did not wait for any
        self._held: list[Held] = []
        self._tidy_at = 256

    def add(self, section: Held) -> None:
        self.open += section.open
        self._held.append(section)
        if len(self._held) >= self._tidy_at:
            self._held = [each for each in self._held if each.open]
            self._tidy_at = 2 * len(self._held) + 256

    def settled(self, section: Held, messages: int) -> None:
        """So many of its messages are."""
        if not section.lapsed:
            section.open -= messages
            self.open -= messages

    @property
    def stalled(self) -> bool:
        """Whether the application has been at one message for longer than it may."""
        return self.idle > TICKS

    def tick(self, ticks: int, idle: bool) -> list[Held]:
        """So many parts of the ack timeout are over. Returns those whose rest is to be told as waiting.

        That is once at least, or the time of what came meanwhile would count as an attempt.
        """
        self.idle += ticks if idle else 0
        held, self._held, renewed = self._held, [], []
        for section in held:
            section.age += ticks
            unseen = section.seen < len(section)
            if section.age >= _LAPSED_AT:
                self._lapse(section)
                continue
            if unseen and section.age >= _RENEWED_AT and not (self.stalled and section.waited):
                section.age = 0
                renewed.append(section)
            if section.open:
                self._held.append(section)
        return renewed

    def clear(self) -> None:
        """The connection is gone, and with it all that it brought."""
        for section in self._held:
            self._lapse(section)
        self._held = []
        self.connection += 1

    def _lapse(self, section: Held) -> None:
        section.lapsed = True
        self.open -= section.open
        section.open = 0
