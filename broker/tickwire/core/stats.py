"""What the engine counts. Plain integers: they are read when somebody asks, not pushed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Totals since the start."""

    frames_in: int = 0
    messages_in: int = 0
    payload_bytes_in: int = 0
    flushes: int = 0
    sections: int = 0
    deliveries: int = 0  # messages times the live readers they were written to
    acks: int = 0
    refusals: int = 0
    fell_behind: int = 0
    came_level: int = 0
    writes_lost: int = 0  # to connections that had just gone
    commits: int = 0  # of a store that is durable
    repeats: int = 0  # publishes that had been stored before
    resumes: int = 0  # subscriptions that went on where they had been
    redeliveries: int = 0  # messages handed to a consumer once more
    dead_letters: int = 0
