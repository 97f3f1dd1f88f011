"""How many messages a consumer asks for ahead. Pure: time comes in as an argument."""

from __future__ import annotations

# Messages that are asked for before anything is known of the application. What a process dies of is with it alone then.
FIRST = 1


class Pace:
    """Follows the application: `size` is about what it does within its patience, so that hardly anything waits for it.

    What waits in one member is not with another that is idle, and its time runs. The size is doubled as long as the
    work of twice as much fits, and where the application has all of it in its hands and asks for more.
    """

    __slots__ = ("_busy", "_gave", "_most", "_taken", "size", "waiting")

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(FIRST, most)
        self.waiting = False  # the application wants something and has not got it yet
        self._gave: float | None = None  # when it got something, if it has not come back since
        self._taken = 0  # messages since the size was looked at last, and the seconds that they took
        self._busy = 0.0

    def gave(self, messages: int, now: float) -> None:
        """The application got so many."""
        self._taken += messages
        self._gave, self.waiting = now, False

    def asked(self, now: float, patience: float) -> bool:
        """The application wants more. Returns whether the size is another one now; the patience is in seconds."""
        self.waiting = True
        if self._gave is None:
            return False
        self._busy += now - self._gave
        self._gave = None
        if self._taken < self.size and self._busy < patience:
            return False
        fitting = int(self._taken * patience / max(self._busy, 1e-9))
        self._taken, self._busy = 0, 0.0
        if fitting >= 2 * self.size:
            return self._resize(2 * self.size)
        if 2 * fitting <= self.size:
            return self._resize(fitting)
        return False

    def starved(self) -> bool:
        """The application has as much as the size allows, and waits for more. Returns as `asked` does."""
        return self._resize(2 * self.size)

    def stalled(self) -> bool:
        """The application does not come back: what it would be given is better with others. Returns as `asked` does."""
        return self._resize(1)

    def _resize(self, size: int) -> bool:
        before, self.size = self.size, max(1, min(size, self._most))
        return self.size != before
