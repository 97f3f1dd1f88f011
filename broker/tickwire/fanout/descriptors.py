"""The sockets into which frames may go past their transports: one call of the C library writes to all of an audience.

A peer has a slot. In it stands the descriptor of its socket while nothing that was written to it can be waiting in its
transport, and -1 at all other times: then what is due goes through the transport, behind what waits there. Slot 0 is
that of all peers that have no socket of their own, and always -1.
"""

from __future__ import annotations

import threading
from array import array

OPEN = array("i", [-1])
_free: list[int] = []
_growing = threading.Lock()  # two threads may have a broker each


def take_slot() -> int:
    with _growing:
        if _free:
            return _free.pop()
        OPEN.append(-1)
        return len(OPEN) - 1


def give_back(slot: int) -> None:
    """Let another peer have it. No audience may have the slot any more."""
    if slot:
        with _growing:
            OPEN[slot] = -1
            _free.append(slot)
