"""The broker of a history, life after life: the engine, and in place of its threads steps that are taken one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from house.link import Clock, Link
from tickwire.core.engine import Engine
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.core.reads import Read
from tickwire.core.store import Batch, Store, StoreFailed, StoreFull
from tickwire.core.topic import Sealed

from .medium import Medium
from .truth import Truth

POLICIES = Policies(
    Policy(),
    (
        PolicyFor("short.*", Policy(messages=8)),
        PolicyFor("old.*", Policy(seconds=40.0)),
        PolicyFor("memory.*", Policy(durable=False)),
    ),
)
LIMITS = Limits(
    retain_bytes=1_500,
    retain_seconds=30.0,
    free_topic_after=20.0,
    retain_total_bytes=8_000,
    policies=POLICIES,
    identity_seconds=60.0,
    identity_frames=16,
    unsent_bytes=250,
    attempts=50,
)


class WallClock(Clock):
    """`now` is steady; the time of day can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.set_by = 1.7e9

    @property
    def time_us(self) -> int:
        return int((self.now + self.set_by) * 1e6)


class Broker:
    """`gone` says up to which offset messages of a topic may be missing, (epoch, topic) -> offset, since they were
    dropped as they should be.
    """

    def __init__(self, medium: Medium, random: Random, clock: WallClock) -> None:
        self.medium, self.random, self.clock = medium, random, clock
        self.truth = Truth()
        self.gone: dict[tuple[int, str], int] = {}
        self.lives = 0
        self.engine: Engine
        self.store: Store
        self._links = 0
        self.start()

    # Its life.

    def start(self) -> None:
        while True:
            self.store = self.medium.store()
            try:
                self.engine = Engine(LIMITS, self.store)
            except Exception:
                if not self.medium.dark:
                    raise
                continue  # the power went while it started
            break
        self.lives += 1
        self.batch: Batch | None = None  # handed to the writer, which has not begun
        self.begun = False  # a batch is written without the writer
        self.reads: deque[Read] = deque()  # handed to the reader
        self.done: deque[Callable[[], None]] = deque()  # what the writer has to say to the loop
        self.looked_up: deque[Read] = deque()  # what the reader has
        self.halted = False
        self.first_of_this_life = self.engine.topics.volatile_floor
        self._see_what_is_stored()
        self._tap()

    def crash(self, power: bool) -> None:
        """The process ends here; with `power`, what was not synced may be lost too."""
        for topic in self.engine.topics.values():
            if not topic.durable:
                self._is_gone(topic.name, topic.log.end)
                self.truth.forget(topic.name)
        if not self.medium.durable:
            self.truth.topics.clear()
        self.medium.power_cut() if power else self.medium.kill()

    def link(self) -> Link:
        self._links += 1
        return Link(self, self._links, False)  # type: ignore[arg-type]

    @property
    def down(self) -> bool:
        """Whether only another life can store anything."""
        return self.engine.refuses is not None and self.engine.refuses.code == "store_failed"

    # Steps of its loop.

    def flush(self, seals: bool = True) -> None:
        self.engine.flush(self.clock.now, self.clock.time_us, self.random.random() < 0.5, seals)
        self.serve()

    def sweep(self) -> bool:
        wrote = self.engine.sweep(now=self.clock.now)
        self.serve()
        return wrote

    def serve(self) -> None:
        batch = None if self.halted else self.engine.take_commit()
        if batch is not None:
            assert not self.writing
            self.batch = batch
        self.reads += self.engine.take_reads()

    def tick(self) -> None:
        before = dict(self.engine.topics)
        self.engine.tick(self.clock.now)
        for name, topic in before.items():
            if name not in self.engine.topics and not topic.durable:
                self._is_gone(name, topic.end)

    # Steps of the writer, and what the loop hears of them.

    @property
    def writing(self) -> bool:
        return self.batch is not None or self.begun

    def write(self) -> None:
        """A commit; or the beginning or the end of one that the writer has no part in."""
        if not self.writing:
            return
        batch, self.batch = self.batch, None
        begun, self.begun = self.begun, False
        try:
            if batch is None:
                assert begun
                self.store.finish()
            elif self.random.random() < 0.5 and self.store.begin(batch):
                self.begun = True
                return
            else:
                self.store.commit(batch)
        except (StoreFull, StoreFailed) as error:
            self.done.append(partial(self._failed, error))
        except OSError:
            if not self.medium.dark:
                raise
        else:
            self.done.append(self._committed)

    def retain(self) -> None:
        try:
            dropped = self.store.retain(POLICIES.of, self.clock.time_us)
        except StoreFailed:
            return  # the next commit tells the engine
        for each in dropped:
            self._is_gone(each.topic, each.start)
        self.done.append(lambda: self.engine.retained(dropped))

    def settle(self) -> None:
        try:
            self.store.settle()
        except StoreFailed:
            return  # the next commit tells the engine

    def probe(self) -> None:
        if self.halted and not self.down and not self.writing:
            try:
                self.store.probe()
            except (StoreFull, StoreFailed):
                return
            self.done.append(self._has_room)

    def hear(self) -> bool:
        """The loop hears what the writer has done, or what the reader has found. Returns whether there was anything."""
        if self.done and (not self.looked_up or self.random.random() < 0.5):
            self.done.popleft()()
        elif self.looked_up:
            self.engine.read_done(self.looked_up.popleft())
            self.sweep()
        else:
            return False
        return True

    def read(self) -> None:
        if self.reads:
            read = self.reads.popleft()
            read.run(self.store)
            self.looked_up.append(read)

    def come_to_rest(self) -> bool:
        """Do all there is to do, of loop, writer and reader. Returns whether there was anything."""
        moved = self.engine.due or self.writing or bool(self.reads)
        self.flush()
        self.write()
        self.probe()
        while self.reads:
            self.read()
        while self.hear():
            moved = True
        return self.sweep() or moved

    def _committed(self) -> None:
        self.engine.committed()
        self.flush(seals=False)

    def _failed(self, error: Exception) -> None:
        self.halted = True
        self.engine.committed(error)
        self.flush(seals=False)

    def _has_room(self) -> None:
        if self.halted and not self.down:
            self.halted = False
            self.engine.has_room()
            self.flush(seals=False)

    # What it may have shown, and what it need not show any more.

    def oldest(self, name: str) -> int | None:
        topic = self.engine.topics.get(name)
        return None if topic is None else max(topic.log.oldest, self.gone.get((self.engine.epoch, name), 0))

    def has_dropped(self, name: str) -> bool:
        return self.gone.get((self.engine.epoch, name), 0) > 0

    def note_what_memory_dropped(self) -> None:
        for topic in self.engine.topics.values():
            if not topic.durable:
                self._is_gone(topic.name, topic.log.oldest)

    def _is_gone(self, topic: str, end: int) -> None:
        key = self.engine.epoch, topic
        self.gone[key] = max(self.gone.get(key, 0), end)

    def _tap(self) -> None:
        keep = self.engine.topics.keep

        def seen(sealed: list[Sealed], stamp: int, now: float) -> None:
            keep(sealed, stamp, now)
            for topic, sections in sealed:
                for section in sections:
                    self.truth.add(topic.name, section.first, section.end, section.stamp, section.first == topic.first)

        self.engine.topics.keep = seen  # type: ignore[method-assign]

    def _see_what_is_stored(self) -> None:
        """What was stored and not shown when the last life ended is there for everybody now."""
        for topic in self.engine.topics.values():
            if POLICIES.of(topic.name) != POLICIES.default:
                self._is_gone(topic.name, topic.log.oldest)  # retention that failed may have been kept nevertheless
            at = max(self.truth.end(topic.name), topic.log.oldest)
            while at < topic.log.end:
                reading = self.store.read(topic.name, at, 1 << 20)
                for section in reading.sections:
                    self.truth.add(topic.name, section.first, section.end, section.stamp)
                assert reading.next > at, f"{topic.name} has nothing at {at}, and ends at {topic.log.end}"
                at = reading.next


__all__ = ["LIMITS", "POLICIES", "Broker", "Goodbye", "WallClock"]
