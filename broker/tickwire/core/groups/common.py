"""What all groups have in common: the topics, the store's due, the alarms."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from tickwire.core.stats import Stats
from tickwire.core.store import GroupCursor
from tickwire.core.topics import Topics

from .ledger import Ledger
from .member import Alarms

Publish = Callable[[str, list[bytes]], None]

_ROWS = 1_024  # in a batch: more would make every message of it wait
_RANGES = 16_384  # in all of them
_PATIENCE = 2_048  # ranges of a row that are worth writing each time; a longer one is written less often


class Common:
    """Groups report here what changed; `rows` gives it to the store."""

    def __init__(self, topics: Topics, publish: Publish, stats: Stats) -> None:
        self.topics, self.publish, self.stats = topics, publish, stats
        self.alarms = Alarms()
        self._changed: OrderedDict[Ledger, str] = OrderedDict()

    @property
    def unsaved(self) -> bool:
        return bool(self._changed)

    def changed(self, ledger: Ledger, group: str) -> None:
        """It stands elsewhere than the store has it."""
        if ledger.stored:
            self._changed[ledger] = group

    def ended(self, ledger: Ledger) -> None:
        """It is not to be stored any more."""
        self._changed.pop(ledger, None)

    def rows(self) -> list[GroupCursor]:
        """Where ledgers stand that changed, each once. What would make a batch slow comes with a later one."""
        rows: list[GroupCursor] = []
        ranges = 0
        for _ in range(min(len(self._changed), _ROWS)):
            ledger, group = self._changed.popitem(last=False)
            ledger.patience += _PATIENCE
            if ledger.patience < ledger.opens.count or ranges > _RANGES:
                self._changed[ledger] = group
                continue
            ledger.patience = 0
            ranges += ledger.opens.count
            rows.append(ledger.row(group))
        return rows
