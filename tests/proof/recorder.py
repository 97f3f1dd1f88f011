"""Writes events down, one file a process: what was written outlives kill -9 of who wrote it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from .events import Event, Record, line_of, record_of


class Recorder:
    """Appends to a file. An event is in the kernel's hands when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *events: Event) -> None:
        now = time.monotonic()
        rest = b"".join(line_of(now, event) for event in events)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Iterator[Record]:
    """The events of a file. A last line that was cut short is none: its writer was killed while it wrote."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield record_of(line)


class Tail:
    """A file that grows: `read` gives what is new."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def read(self, beginning: bytes = b"") -> Iterator[Record]:
        """The new events whose lines begin so."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                if line.startswith(beginning):
                    yield record_of(line)
