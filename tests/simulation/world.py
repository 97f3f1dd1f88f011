"""Everything there is in a history: a broker, its clients, a clock, and the chance that decides what happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from proof import events
from proof.events import Record

from .broker import Broker, WallClock
from .client import Client
from .medium import Kept, Medium, Nothing, OnDisk


@dataclass(slots=True)
class Outcome:
    """What a history came to. `faults` is empty where the contract held."""

    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


class World:
    """All of it follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.outcome = Outcome(seed)
        self.clock = WallClock()
        medium: type[Medium] = random.choices([OnDisk, Kept, Nothing], [70, 20, 10])[0]
        self.medium = medium(random)
        self.say(medium.__name__)
        self.starts: list[Record] = []
        self.broker = Broker(self.medium, random, self.clock)
        self._a_life_begins()
        self.publishers = [self.client(f"p{number}") for number in range(random.randint(2, 3))]
        self.readers = [self.client(f"r{number}") for number in range(2)]
        self.workers = [self.client(f"w{number}") for number in range(2)]
        self.clients = [*self.publishers, *self.readers, *self.workers]

    def client(self, name: str) -> Client:
        return Client(name, self.broker, self.at, self.outcome.faults.append)

    def at(self) -> float:
        """Each time it is asked is another one."""
        self.clock.now += 1e-6
        return self.clock.now

    def say(self, what: str) -> None:
        self.outcome.story.append(what)

    def connect_all(self) -> None:
        for client in self.clients:
            if client.link is None:
                client.connect()

    def exchange_all(self) -> None:
        for client in self.clients:
            client.exchange()

    def write(self) -> None:
        """The broker's writer does what it was given, if the power lasts."""
        self.broker.write()
        self.is_dark()

    def is_dark(self) -> bool:
        """Whether the power went, in which case the broker is there again when this returns."""
        if self.medium.dark:
            self.crash(True)
            return True
        return False

    def crash(self, power: bool) -> None:
        """The broker ends, and another one begins. What was on its way is lost, from some frame on."""
        random, counts = self.random, self.outcome.counts
        self.say("the power goes" if power else "kill -9")
        counts["power cuts" if power else "kills"] += 1
        counts["acks awaited at a crash"] += sum(client.session.outbox.in_flight for client in self.clients)
        for client in self.clients:
            client.exchange(random.choice((0, 0, 2)) if client.link is not None and client.link.reading else 0)
            client.lose()
        self.broker.crash(power)
        self.medium.heal()
        if power and random.random() < 0.2:
            self.medium.power_fails_in(random.randint(0, 8))  # while it starts
        self.broker.start()
        self._a_life_begins()
        if random.random() < 0.7:
            self.connect_all()

    def _a_life_begins(self) -> None:
        self.starts.append((self.at(), events.Started()))
