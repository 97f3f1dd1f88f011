"""One history: what happens is chosen by the seed alone, and at the end everything must have come right."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from unittest.mock import patch

from proof import events
from proof.checker import Checker
from proof.events import Record
from tickwire.core import joining, reads, trails
from tickwire.fanout import catchup, shelves
from tickwire_client.positions import Start

from .broker import POLICIES, Broker, WallClock
from .client import Client, Reader
from .medium import Kept, Medium, Nothing, OnDisk

TOPICS = ["a.x", "a.y", "short.s", "old.o", "memory.m", "b"]
PATTERNS = [*TOPICS, "a.*", "*.x", "short.*", ">"]
OPERATIONS = 60, 110
_ROUNDS = 400

# Bounds of the broker that are meant for large numbers, small enough that these histories come up against them.
_BOUNDS = (
    (trails, "_LOOKS", 3),
    (catchup, "CHUNK_BYTES", 400),
    (catchup, "TRAIL_BYTES", 700),
    (catchup, "BUDGET_BYTES", 900),
    (reads, "READ_BYTES", 500),
    (shelves, "_SHELVED", 4),
    (joining, "JOINED_BYTES", 900),
)


@dataclass(slots=True)
class Outcome:
    """What a history came to. `faults` is empty where the contract held."""

    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


class History:
    """Clients, a broker, and operations between them, of which some are crashes."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.outcome = Outcome(seed)
        self.clock = WallClock()
        medium: type[Medium] = random.choices([OnDisk, Kept, Nothing], [70, 20, 10])[0]
        self.medium = medium(random)
        self._say(medium.__name__)
        self.starts: list[Record] = []
        self.broker = Broker(self.medium, random, self.clock)
        self.lives_begun()
        self.publishers = [self._client(f"p{number}") for number in range(random.randint(2, 3))]
        self.readers = [self._client(f"r{number}") for number in range(2)]
        self.workers = [self._client(f"w{number}") for number in range(2)]
        self.clients = [*self.publishers, *self.readers, *self.workers]

    # The whole of it.

    def run(self) -> Outcome:
        outcome, random = self.outcome, self.random
        bounds = [patch.object(*bound) for bound in _BOUNDS]
        for bound in bounds:
            bound.start()
        try:
            self._begin()
            operations = random.randint(*OPERATIONS)
            crashes = set(random.sample(range(operations // 4, operations), random.choice((1, 1, 2, 3))))
            for number in range(operations):
                self.crash() if number in crashes else self.step()
                outcome.counts["operations"] += 1
            self._settle()
            self._final_read()
            self._decide()
        except Exception as error:
            where = "".join(traceback.format_exception(error, limit=-4))
            outcome.faults.append(where)
        finally:
            for bound in bounds:
                bound.stop()
        return outcome

    def _begin(self) -> None:
        random = self.random
        for client in self.clients:
            client.connect()
        for client in self.readers:
            client.subscribe(random.choice(PATTERNS), random.choice((None, ("earliest",))))
        if random.random() < 0.7:
            # Where memory is all there is, dead letters are dropped before the end like everything else.
            attempts = random.choice((2, 50, 50)) if self.medium.durable else 50
            pattern = random.choice((">", "a.*"))
            for client in self.workers:
                client.consume(pattern, "g", random.choice((1, 5, 100)), attempts)

    def step(self) -> None:
        names, weights = zip(*_OPERATIONS.items(), strict=True)
        name = self.random.choices(names, weights)[0]
        self._say(name)
        getattr(self, name)()

    # Operations.

    def publish(self) -> None:
        client = self.random.choice(self.publishers)
        for _ in range(self.random.choice((1, 1, 3))):
            client.publish(self.random.choice(TOPICS), self._filler())

    def publish_batch(self) -> None:
        topics = self.random.choices(TOPICS, k=self.random.randint(2, 6))
        self.random.choice(self.publishers).publish_batch(topics, self._filler())

    def post(self) -> None:
        client = self.random.choice(self.publishers)
        for _ in range(self.random.randint(1, 3)):
            client.post(self.random.choice(TOPICS), self._filler())

    def exchange(self) -> None:
        self.random.choice(self.clients).exchange(self.random.choice((1, 3, 1 << 30)))

    def exchange_all(self) -> None:
        for client in self.clients:
            client.exchange()

    def flush(self) -> None:
        self.broker.flush()

    def commit(self) -> None:
        """The writer does what it was given, or comes to say what it did, or both."""
        if self.random.random() < 0.7:
            self.broker.write()
            self._see_whether_it_is_dark()
        if self.random.random() < 0.7:
            self.broker.hear()

    def turn(self) -> None:
        """A bit of everything, as a broker does that has nothing else to do."""
        self.exchange_all()
        self.broker.flush()
        self.broker.write()
        if not self._see_whether_it_is_dark():
            while self.broker.hear():
                pass
            self.broker.read()

    def look_up(self) -> None:
        self.broker.read()
        if self.random.random() < 0.7:
            self.broker.hear()

    def sweep(self) -> None:
        self.broker.sweep()

    def cut(self) -> None:
        client = self.random.choice(self.clients)
        if client.link is not None:
            self.outcome.counts["cuts"] += 1
            client.exchange(self.random.choice((0, 2)))
            client.cut()
        else:
            client.connect()

    def cut_all(self) -> None:
        """The network goes, and comes back."""
        for client in self.clients:
            client.cut()
        self.connect()
        self.exchange_all()
        self.exchange_all()

    def connect(self) -> None:
        for client in self.clients:
            if client.link is None:
                client.connect()

    def stop_or_go_on_reading(self) -> None:
        link = self.random.choice(self.readers).link
        if link is not None:
            link.reading = not link.reading
            if not link.reading:
                self._a_burst()

    def _a_burst(self) -> None:
        """Enough for somebody who does not read to fall behind."""
        for _ in range(self.random.randint(0, 3)):
            self.publish()
            self.turn()

    def subscribe(self) -> None:
        client = self.random.choice(self.readers)
        if len(client.readers) < 4:
            pattern, start = self._start(self.random.choice(PATTERNS))
            once = start is not None and self.random.random() < 0.25
            reader = client.subscribe(pattern, start, once)
            if reader.feed.request().since and reader.feed.request().since[0] == "offset":
                reader.expected.add("future_position")

    def unsubscribe(self) -> None:
        client = self.random.choice(self.readers)
        if len(client.readers) > 1:
            client.unsubscribe(self.random.choice(client.readers))

    def share(self) -> None:
        for client in self.workers:
            if len(client.readers) < 2:
                client.share("a.*", "shared")

    def work(self) -> None:
        client = self.random.choice(self.workers)
        for reader in client.readers:
            if reader.held:
                count = self.random.randint(1, len(reader.held))
                if self.random.random() < 0.75:
                    reader.settle(count)
                else:
                    reader.give_back(count, self.random.choice((0.0, 5.0)))

    def time_passes(self) -> None:
        self.clock.now += self.random.choice((0.1, 1.0, 12.0, 25.0))
        self.broker.tick()
        self.broker.sweep()

    def a_quiet_minute(self) -> None:
        """Topics whose messages are too old by now are forgotten, where nobody reads them."""
        for _ in range(4):
            self.clock.now += 21.0
            self.retain()
            self.broker.hear()
            self.broker.tick()

    def the_clock_is_set(self) -> None:
        self.clock.set_by += self.random.choice((-3600.0, -1.0, 1.0, 30.0))

    def retain(self) -> None:
        if self.broker.batch is None and not self.broker.down:
            self.broker.retain()
            self._see_whether_it_is_dark()

    def the_disk_fails(self) -> None:
        if self.random.random() < 0.4:
            self.outcome.counts["failed syncs"] += 1
            self.medium.fail_next_sync()
            if self.random.random() < 0.5:
                self._nobody_hears_of_the_next_commit()

    def the_disk_is_full(self) -> None:
        self.outcome.counts["full disks"] += 1
        self.medium.fill(self.random.choice((0, 5_000)))
        if self.random.random() < 0.3:
            self._nobody_hears_of_the_next_commit()

    def _nobody_hears_of_the_next_commit(self) -> None:
        """The network goes before the answers have come, so that publishers ask again."""
        self.exchange_all()
        for _ in range(2):
            self.broker.flush()
            self.broker.write()
            self.broker.hear()
        self.cut_all()

    def there_is_room(self) -> None:
        self.medium.heal()
        self.broker.probe()

    def the_broker_is_started_again(self) -> None:
        if self.broker.down:
            self.crash()

    def crash(self) -> None:
        """kill -9, or the power goes: now, or in the middle of the next write."""
        random = self.random
        power = random.random() < 0.6
        if power and random.random() < 0.5:
            self.medium.power_fails_in(random.randint(0, 12))
            self.broker.flush()
            self.broker.write()
            if self._see_whether_it_is_dark():
                return
        self._crash(power)

    def _see_whether_it_is_dark(self) -> bool:
        if self.medium.dark:
            self._crash(True)
            return True
        return False

    def _crash(self, power: bool) -> None:
        self._say("the power goes" if power else "kill -9")
        self.outcome.counts["power cuts" if power else "kills"] += 1
        awaited = sum(client.session.outbox.in_flight for client in self.clients)
        self.outcome.counts["acks awaited at a crash"] += awaited
        for client in self.clients:
            client.exchange(self.random.choice((0, 0, 2)) if client.link is not None and client.link.reading else 0)
            client.lose()
        self.broker.crash(power)
        self.medium.heal()
        if power and self.random.random() < 0.2:
            self.medium.power_fails_in(self.random.randint(0, 8))  # while it starts
        self.broker.start()
        self.lives_begun()
        if self.random.random() < 0.7:
            self.connect()

    # The end.

    def _settle(self) -> None:
        """Everything heals, everybody reads, and nothing is left to do."""
        self._say("the end")
        self.medium.heal()
        if self.broker.down:
            self._crash(False)
        for _ in range(_ROUNDS):
            if not self._round():
                break
        else:
            self.outcome.faults.append(f"it does not come to rest: {self._what_waits()}")

    def _round(self) -> bool:
        """Returns whether something is still to come."""
        self.connect()
        moved = False
        for client in self.clients:
            if client.link is not None:
                client.link.reading = True
            moved = client.exchange() or moved
            for reader in client.readers:
                if reader.held:
                    reader.settle(len(reader.held))
                    moved = True
        broker = self.broker
        moved = broker.engine.due or broker.batch is not None or bool(broker.reads) or moved
        broker.flush()
        broker.write()
        broker.probe()
        while broker.reads:
            broker.read()
        while broker.hear():
            moved = True
        moved = broker.sweep() or moved
        if not moved and self._what_waits():
            self.clock.now += 1.0
            broker.tick()
            return True
        return moved

    def _what_waits(self) -> str:
        waiting = [f"{client.name} waits for {client.waits} answers" for client in self.clients if client.waits]
        groups = [f"group {group.name} has {group.lag}" for group in self.broker.engine.groups.listing() if group.lag]
        return ", ".join(waiting + groups)

    def _final_read(self) -> None:
        client = self._client("final")
        self.clients.append(client)
        client.connect()
        reader = client.subscribe(">", ("earliest",), once=True, record=False)
        dead = client.subscribe("$dead.>", ("earliest",), once=True, record=False)
        reader.final = []
        self.final = reader.final
        for _ in range(_ROUNDS):
            if not self._round() and reader.feed.ended and dead.feed.ended:
                return
        self.outcome.faults.append("the final read does not end")

    def _decide(self) -> None:
        checker = Checker(durable=self.medium.durable)
        for client in self.clients:
            self._close(client)
            checker.begin_file()
            for at, event in client.events:
                checker.see(at, event)
        for at, event in self.starts:
            checker.see(at, event)
        for event in self.final:
            checker.see(self.clock.now, event)
        self.broker.note_what_memory_dropped()
        self._forgive_what_was_dropped(checker)
        verdict = checker.decide()
        self.outcome.faults += verdict.lines()
        figures = verdict.figures
        self.outcome.counts.update(
            {
                "messages": figures.sent, "acks": figures.acks, "unknown outcomes": figures.unknown,
                "refused": sum(figures.refused.values()), "deliveries": figures.deliveries, "resumes": figures.resumes,
                "gaps": sum(figures.gaps.values()), "handed out": figures.handed_out,
                "redeliveries": figures.redeliveries, "lives": self.broker.lives,
            }
        )  # fmt: skip

    def _close(self, client: Client) -> None:
        for reader in client.readers:
            if isinstance(reader, Reader) and reader.final is None and not reader.feed.ended:
                client.write(events.Complete(reader.name))

    def _forgive_what_was_dropped(self, checker: Checker) -> None:
        for topic, places in checker.ledger.places.items():
            lost = self.medium.durable and not POLICIES.of(topic).durable
            for (epoch, offset), place in list(places.items()):
                if lost and offset < self.broker.first_of_this_life:
                    del places[epoch, offset]  # what is not on disk may be sent again after a crash
                elif offset < self.broker.gone.get((epoch, topic), 0):
                    place.final = True

    # Small things.

    def lives_begun(self) -> None:
        self.starts.append((self._at(), events.Started()))

    def _client(self, name: str) -> Client:
        return Client(name, self.broker, self._at, self.outcome.faults.append)

    def _at(self) -> float:
        """Each time it is asked is another one."""
        self.clock.now += 1e-6
        return self.clock.now

    def _filler(self) -> int:
        return self.random.choice((0, 0, 20, 300))

    def _start(self, pattern: str) -> tuple[str, Start | None]:
        random = self.random
        known = [position for client in self.publishers for position in client.known]
        kind = random.choice(("now", "earliest", "last", "time", "offset", "offset"))
        if kind == "offset" and known:
            topic, epoch, offset = random.choice(known)
            return topic, ("offset", epoch, offset + random.choice((0, 1, 1, 1_000)))
        if kind == "time":
            return pattern, ("time", self.clock.time_us - int(random.choice((0, 1e6, 1e7))))
        return pattern, None if kind in ("now", "offset") else (kind,)

    def _say(self, what: str) -> None:
        self.outcome.story.append(what)


_OPERATIONS = {
    "publish": 12,
    "publish_batch": 6,
    "post": 4,
    "exchange": 10,
    "exchange_all": 10,
    "flush": 8,
    "commit": 10,
    "turn": 12,
    "look_up": 6,
    "sweep": 3,
    "cut": 6,
    "cut_all": 3,
    "connect": 3,
    "stop_or_go_on_reading": 5,
    "subscribe": 6,
    "unsubscribe": 3,
    "share": 1,
    "work": 8,
    "time_passes": 5,
    "a_quiet_minute": 2,
    "the_clock_is_set": 1,
    "retain": 4,
    "the_disk_fails": 2,
    "the_disk_is_full": 1,
    "there_is_room": 3,
    "the_broker_is_started_again": 2,
}


def run(seed: int) -> Outcome:
    return History(seed).run()
