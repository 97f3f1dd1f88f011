"""Real prices as lines of JSON, as somebody would publish them: for payloads that pack as real ones do."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tickwire.server.demo.replay import load


@cache
def text() -> bytes:
    """All closing prices of the demo, one to a line."""
    replay = load()
    lines = (
        json.dumps({"symbol": symbol, "date": day.date, "close": close})
        for day in replay.days
        for symbol, close in zip(replay.symbols, day.closes, strict=True)
    )
    return "\n".join(lines).encode()


def file(directory: Path) -> Path:
    """The same in a file, for the load tool."""
    path = directory / "ticks"
    if not path.exists():
        path.write_bytes(text())
    return path
