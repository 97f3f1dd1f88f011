"""What the publishers send: real prices as lines of JSON, cut to the size that is asked for; or noise."""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import cycle, islice

from tickwire.server.demo.replay import load

MESSAGES = 1_000  # of one publisher, before it begins again; no two of a batch are the same


def payloads(size: int, number: int, noise: bool = False) -> list[bytes]:
    """`MESSAGES` payloads of `size` bytes for the publisher of that number."""
    if noise:
        return [os.urandom(size) for _ in range(MESSAGES)]
    text = _text()
    pieces = cycle([text[at : at + size] for at in range(0, len(text) - size, size)])
    return list(islice(pieces, number * MESSAGES, (number + 1) * MESSAGES))


@cache
def _text() -> bytes:
    """All closing prices, one to a line, as somebody would publish them."""
    replay = load()
    lines = (
        json.dumps({"symbol": symbol, "date": day.date, "close": close})
        for day in replay.days
        for symbol, close in zip(replay.symbols, day.closes, strict=True)
    )
    return "\n".join(lines).encode()
