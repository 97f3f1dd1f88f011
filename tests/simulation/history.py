"""One history: what happens is chosen by the seed alone, and at the end everything must have come right."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from unittest.mock import patch

from proof import events
from proof.checker import Checker
from proof.events import Event
from proof.verdict import Figures
from tickwire.core import joining, reads, trails
from tickwire.fanout import catchup, shelves

from .broker import POLICIES
from .client import Client
from .steps import PATTERNS, STEPS, crash
from .world import Outcome, World

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


def run(seed: int) -> Outcome:
    return History(seed).run()


class History:
    """Steps and crashes; then everything heals, everybody reads to the end, and the checker decides."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self._final: list[Event] = []

    def run(self) -> Outcome:
        outcome = self.world.outcome
        with _small_bounds():
            try:
                self._begin()
                self._go_on()
                self._settle()
                self._read_all()
                self._decide()
            except Exception as error:
                outcome.faults.append("".join(traceback.format_exception(error, limit=-4)))
        return outcome

    def _begin(self) -> None:
        world, random = self.world, self.world.random
        world.connect_all()
        for client in world.readers:
            client.subscribe(random.choice(PATTERNS), random.choice((None, ("earliest",))))
        if random.random() < 0.7:
            # Where memory is all there is, dead letters are dropped before the end like everything else.
            attempts = random.choice((2, 50, 50)) if world.medium.durable else 50
            pattern = random.choice((">", "a.*"))
            for client in world.workers:
                client.consume(pattern, "g", random.choice((1, 5, 100)), attempts)

    def _go_on(self) -> None:
        world, random = self.world, self.world.random
        operations = random.randint(*OPERATIONS)
        crashes = set(random.sample(range(operations // 4, operations), random.choice((1, 1, 2, 3))))
        steps, weights = list(STEPS), list(STEPS.values())
        for number in range(operations):
            if number in crashes:
                crash(world)
            else:
                (step,) = random.choices(steps, weights)
                world.say(step.__name__)
                step(world)
            world.outcome.counts["operations"] += 1

    # The end.

    def _settle(self) -> None:
        self.world.say("the end")
        self.world.medium.heal()
        for _ in range(_ROUNDS):
            if not self._round():
                return
        self.world.outcome.faults.append(f"it does not come to rest: {self._what_waits()}")

    def _round(self) -> bool:
        """Returns whether something is still to come."""
        world = self.world
        if world.broker.down:
            world.crash(False)
        world.connect_all()
        moved = sum(map(_read, world.clients)) > 0
        moved = world.broker.come_to_rest() or moved
        if not moved and self._what_waits():
            world.clock.now += 1.0
            world.broker.tick()
            return True
        return moved

    def _what_waits(self) -> str:
        clients, groups = self.world.clients, self.world.broker.engine.groups.listing()
        waiting = [f"{client.name} waits for {client.waits} answers" for client in clients if client.waits]
        return ", ".join(waiting + [f"group {group.name} has {group.lag}" for group in groups if group.lag])

    def _read_all(self) -> None:
        """What the broker holds at last, as a client sees it."""
        world = self.world
        client = world.client("final")
        world.clients.append(client)
        reader = client.subscribe(">", ("earliest",), once=True, record=False)
        dead = client.subscribe("$dead.>", ("earliest",), once=True, record=False)
        reader.final = self._final
        for _ in range(_ROUNDS):
            if not self._round() and reader.feed.ended and dead.feed.ended:
                return
        world.outcome.faults.append("the final read does not end")

    # The verdict.

    def _decide(self) -> None:
        world, checker = self.world, Checker(durable=self.world.medium.durable)
        for client in world.clients:
            _complete(client)
            checker.begin_file()
            for at, event in client.events:
                checker.see(at, event)
        for at, event in world.starts:
            checker.see(at, event)
        for event in self._final:
            checker.see(world.at(), event)
        self._forgive_what_was_dropped(checker)
        verdict = checker.decide()
        world.outcome.faults += verdict.lines()
        world.outcome.counts.update({**_counts(verdict.figures), "lives": world.broker.lives})

    def _forgive_what_was_dropped(self, checker: Checker) -> None:
        broker = self.world.broker
        broker.note_what_memory_dropped()
        for topic, places in checker.ledger.places.items():
            lost = self.world.medium.durable and not POLICIES.of(topic).durable
            for (epoch, offset), place in list(places.items()):
                if lost and offset < broker.first_of_this_life:
                    del places[epoch, offset]  # what is not on disk may be sent again after a crash
                elif offset < broker.gone.get((epoch, topic), 0):
                    place.final = True


@contextlib.contextmanager
def _small_bounds() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for bound in _BOUNDS:
            stack.enter_context(patch.object(*bound))
        yield


def _read(client: Client) -> bool:
    """Everything that has come is read, and what was handed out is settled. Returns whether there was anything."""
    if client.link is not None:
        client.link.reading = True
    moved = client.exchange()
    for reader in client.readers:
        if reader.held:
            reader.settle(len(reader.held))
            moved = True
    return moved


def _complete(client: Client) -> None:
    for reader in client.readers:
        if reader.final is None and not reader.feed.ended:
            client.write(events.Complete(reader.name))


def _counts(figures: Figures) -> dict[str, int]:
    return {
        "messages": figures.sent,
        "acks": figures.acks,
        "unknown outcomes": figures.unknown,
        "refused": sum(figures.refused.values()),
        "deliveries": figures.deliveries,
        "resumes": figures.resumes,
        "gaps": sum(figures.gaps.values()),
        "handed out": figures.handed_out,
        "redeliveries": figures.redeliveries,
    }
