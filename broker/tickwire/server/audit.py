"""Who was refused what, and what an administrator did: a JSON object a line, whatever it holds, and never a secret."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import logs
from .configuration.setting import SettingsError

log = logs.logger("tickwire.audit")

LINES_PER_SECOND = 100  # of one code: whoever is refused often enough would fill the disk
_TEXT = 300  # characters of one fact


class Audit:
    """Lines to a file, or to the log where there is none.

    Beyond 100 a second with the same code they are counted, and that is a line: a flood of one thing hides no other.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path).expanduser() if path else None
        self._clock = clock
        self._second = 0
        self._lines: Counter[str] = Counter()  # of each code, in that second
        self._file = self._open()

    def record(self, event: str, **facts: object) -> None:
        """One line. `facts` are told as they are where they are numbers, and as text, cut, where they are not."""
        now = self._clock()
        if int(now) != self._second:
            self._tell_left_out(now)
            self._second = int(now)
        code = str(facts.get("code", ""))
        self._lines[code] += 1
        if self._lines[code] <= LINES_PER_SECOND:
            self._write(now, event, facts)

    def reopen(self) -> Callable[[], None]:
        """What begins a new file, where that of before was moved away. Raises SettingsError where that cannot be."""
        opened = self._open()

        def take() -> None:
            before, self._file = self._file, opened
            if before is not None:
                os.close(before)

        return take

    def close(self) -> None:
        self._tell_left_out(self._clock())
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _tell_left_out(self, now: float) -> None:
        lines, self._lines = self._lines, Counter()
        for code, count in lines.items():
            if count > LINES_PER_SECOND:
                self._write(now, "left out", {"code": code, "lines": count - LINES_PER_SECOND})

    def _write(self, now: float, event: str, facts: dict[str, object]) -> None:
        if self._file is None:
            log.info(event, **facts)
            return
        line = {"time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"), "event": event}
        line |= {name: _shown(fact) for name, fact in facts.items() if fact is not None}
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError as error:
            log.error("cannot write the audit log", path=str(self._path), why=error.strerror)
            log.info(event, **facts)

    def _open(self) -> int | None:
        if self._path is None:
            return None
        try:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SettingsError(f"cannot write the audit log {str(self._path)!r}: {error.strerror}") from None


def _shown(fact: Any) -> Any:
    if isinstance(fact, (bool, int, float)):
        return fact
    text = str(fact)
    return text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."
