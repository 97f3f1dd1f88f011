"""What the publishers send: real prices as lines of JSON, cut to the size that is asked for; or noise."""

from __future__ import annotations

import os
from itertools import cycle, islice

from tickwire_bench import ticks

MESSAGES = 1_000  # of one publisher, before it begins again; no two of a batch are the same


def payloads(size: int, number: int, noise: bool = False) -> list[bytes]:
    """`MESSAGES` payloads of `size` bytes for the publisher of that number."""
    if noise:
        return [os.urandom(size) for _ in range(MESSAGES)]
    text = ticks.text()
    pieces = cycle([text[at : at + size] for at in range(0, len(text) - size, size)])
    return list(islice(pieces, number * MESSAGES, (number + 1) * MESSAGES))
