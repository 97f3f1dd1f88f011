"""What happens to the broker and to its clients, life after life: all of it from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

# How a life of the broker ends, and how often.
ENDS = {
    "at random": 10,  # kill -9 some time after it listens
    "at a commit": 3,  # on entering the n-th write to the journal, which syncs it too
    "at an fsync": 3,  # on entering the n-th: what was written before it may be there or not
    "at a send": 5,  # on entering the n-th write to a socket: between the commit and its acknowledgment
    "at a write": 3,  # on entering the n-th write to the store
    "while it opens": 2,  # kill -9 before it listens: in the recovery after the last kill
    "stopped": 1,  # SIGTERM: what is under way is finished
}
FAULTS = {
    "cut all": 3,
    "cut one": 5,  # in the middle of a frame
    "freeze one": 2,  # half-open: silent, not closed; cut a while later
    "delay": 2,
    "throttle": 2,
    "stop": 3,  # SIGSTOP, SIGCONT a while later
    "clock": 3,  # the broker's wall clock jumps
    "kill a client": 4,
}
_CALLS = 60  # before the one at which a life ends, on average
_FSYNCS = 10  # a start has about as many, and after it commits do without
CLOCK_JUMPS = (-3600.0, -60.0, -1.0, 0.0, 0.5, 30.0, 200.0)  # how wrong the clock is from then on, in seconds


@dataclass(frozen=True, slots=True)
class Fault:
    at: float  # seconds after the broker listens
    what: str
    amount: float  # of what it is: seconds, bytes a second, which client
    seconds: float  # until it is over


@dataclass(frozen=True, slots=True)
class Life:
    """One process of the broker. Where it ends at a system call, that may not come: then `seconds` is the end."""

    number: int
    end: str
    seconds: float
    nth: int
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FullLife:
    """One in which the disk becomes full: until the broker says so, for some seconds more, and until it goes on."""

    number: int
    full_at: float
    full_for: float
    then_for: float | None  # None: killed while it is full
    cuts_every: float


def lives(seed: int, seconds: float = 0.8) -> Iterator[Life]:
    """Without an end. `seconds` is how long a life lasts on average."""
    random = Random(seed)
    number = 0
    while True:
        number += 1
        yield _life(random, number, seconds)


def full_lives(seed: int, count: int) -> Iterator[FullLife]:
    """Lives in which the disk becomes full; every other one is killed before there is room again."""
    random = Random(f"full {seed}")
    for number in range(count):
        then_for = None if number % 2 else random.uniform(0.5, 1.0)
        yield FullLife(number, random.uniform(0.2, 0.5), random.uniform(0.2, 1.5), then_for, random.uniform(0.1, 0.4))


def _life(random: Random, number: int, seconds: float) -> Life:
    end = random.choices(list(ENDS), list(ENDS.values()))[0]
    if end == "while it opens":
        return Life(number, end, random.uniform(0.02, 0.5), 0)
    lasts = random.uniform(0.25, 1.75) * seconds
    faults = sorted((_fault(random, lasts) for _ in range(random.choice((0, 0, 1, 1, 2)))), key=lambda fault: fault.at)
    calls = _FSYNCS if end == "at an fsync" else _CALLS
    return Life(number, end, lasts, int(random.expovariate(1 / calls)) + 1, faults=faults)


def _fault(random: Random, lasts: float) -> Fault:
    what = random.choices(list(FAULTS), list(FAULTS.values()))[0]
    at, seconds = random.uniform(0.05, lasts), random.uniform(0.05, 0.4)
    match what:
        case "clock":
            amount = random.choice(CLOCK_JUMPS)
        case "delay":
            amount = random.uniform(0.001, 0.05)
        case "throttle":
            amount = random.uniform(20_000, 200_000)
        case _:
            amount = random.random()
    return Fault(at, what, amount, seconds)
