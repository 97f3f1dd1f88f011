"""The threads of a store on disk: one commits and retains, one reads. The engine itself never waits for either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tickwire.core.engine import Engine
from tickwire.core.errors import StoreDown
from tickwire.core.policy import Policies
from tickwire.core.reads import Read, ReadSections
from tickwire.core.store import Batch, Dropped, StoreFull

from . import logs
from .busy_poll import COMMIT, PUBLISH, BusyPoll
from .histogram import Histogram
from .worker import Done, Worker

log = logs.logger("tickwire.storage")

OK, NO_SPACE, STORE_FAILED = "ok", "no_space", "store_failed"

_RETAIN_EVERY = 1.0  # seconds; at once again while there is more to drop
_DAMAGED = 1_000  # places told of in the log
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Storage:
    """Does what the engine asks of its store. `serve` hands it over; `committed` and `looked_up` are called after.

    After a failed commit no other is asked for: what would follow stood on it. `status` says how the store is.
    """

    def __init__(
        self,
        engine: Engine,
        policies: Policies,
        committed: Callable[[], None],
        looked_up: Callable[[], None],
        busy_poll: float = 0.0,
    ) -> None:
        self.status = OK
        self.commit_seconds = Histogram(_SECONDS)
        self.on_failure: Callable[[], None] = lambda: None
        self._engine, self._store, self._policies = engine, engine.store, policies
        self._tell_committed, self._tell_looked_up = committed, looked_up
        self._writer, self._reader = Worker("tickwire-commit"), Worker("tickwire-read")
        self._busy_poll = BusyPoll(busy_poll)
        self._loop = asyncio.get_running_loop()
        self.committing = self._halted = self._settling = False
        self._jobs = 0  # that the writer has
        self._begun = self._retain_after = False  # a commit is under way without it; and then it is to retain
        self._closing = False
        self._in_company = False  # it settles, and nothing else, while commits go on
        self._damaged: set[tuple[str, int]] = set()
        self._began = 0.0
        self._hears: int | None = None  # the descriptor that tells of it
        self._ended: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(_RETAIN_EVERY, self._retain)

    def serve(self) -> None:
        """Hand over what the engine wants stored and read. After each flush and sweep."""
        batch = None if self._halted else self._engine.take_commit()
        if batch is not None:
            self.committing = True
            self._began = time.perf_counter()
            self._busy_poll.expect(COMMIT)
            if not self._begin(batch):
                self._do(partial(self._store.commit, batch), self._committed)
        for read in self._engine.take_reads():
            self._reader.do(partial(read.run, self._store), partial(self._looked_up, read))

    async def next_commit(self) -> None:
        """Wait until the commit that is under way has ended, well or not."""
        if self._ended is None:
            self._ended = self._loop.create_future()
        await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Let what is under way end, and let go of the store."""
        self._timer.cancel()
        await self._reader.finish()
        while self.committing:
            await self.next_commit()
        self._closing = True
        if self._hears is not None:
            self._loop.remove_reader(self._hears)
        await self._writer.finish(self._store.close)

    def _do(self, job: Callable[[], Any], done: Done) -> None:
        """Have the writer do it; `done` is called when it has."""
        self._jobs += 1
        self._writer.do(job, partial(self._did, done))

    def _did(self, done: Done, outcome: Any, error: Exception | None) -> None:
        self._jobs -= 1
        done(outcome, error)

    def _begin(self, batch: Batch) -> bool:
        """Have it stored without the writer, if that has nothing to do and the store can: no thread waits then."""
        if self._jobs > self._in_company or self._closing:
            return False
        try:
            self._begun = self._store.begin(batch)
        except Exception as error:
            self._loop.call_soon(self._committed, None, error)
            return True
        if self._begun and self._hears is None:
            assert self._store.ended is not None
            self._hears = self._store.ended
            self._loop.add_reader(self._hears, self._finish)
        return self._begun

    def _finish(self) -> None:
        """What was begun may have ended."""
        failed = None
        try:
            if not self._begun or not self._store.finish():
                return
        except Exception as error:
            failed = error
        self._begun = False
        self._committed(None, failed)
        if self._retain_after:
            self._retain_after = False
            self._retain()

    def _committed(self, _: None, error: Exception | None) -> None:
        self.commit_seconds.add(time.perf_counter() - self._began)
        self.committing = False
        if error is not None:
            self._halted = True
            self._failed(error)
        self._engine.committed(error)
        self._tell_committed()
        if not self.committing:
            self._busy_poll.expect(PUBLISH)
        if self._store.unsettled and not self._settling:
            self._settle()  # now that who waited has been answered
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.set_result(None)

    def _settle(self) -> None:
        alone = self._store.settles_alone
        if not (alone and self._begun):
            self._settling, self._in_company = True, not alone
            self._do(partial(self._store.settle, alone), self._settled)

    def _settled(self, _: None, error: Exception | None) -> None:
        self._settling = self._in_company = False
        if error is not None:
            self._failed(error)

    def _looked_up(self, read: Read, _: None, error: Exception | None) -> None:
        if error is not None:
            log.warning("read failed", error=error)
        if isinstance(read, ReadSections) and read.damage is not None:
            self._tell_of_damage(read.log.topic, *read.damage)
        self._engine.read_done(read)
        self._tell_looked_up()

    def _tell_of_damage(self, topic: str, first: int, end: int) -> None:
        """Once, not with each of its readers."""
        if len(self._damaged) < _DAMAGED and (topic, first) not in self._damaged:
            self._damaged.add((topic, first))
            log.error("damaged on disk", topic=topic, first=first, end=end, readers="told of a gap", see="check-data")

    def _failed(self, error: Exception) -> None:
        if isinstance(error, StoreFull):
            if self.status == OK:
                self.status = NO_SPACE
                log.warning("no space", error=error, publishes="refused until there is room")
        elif self.status != STORE_FAILED:
            self.status = STORE_FAILED
            if self._engine.refuses is not None:  # otherwise it has taken publishes, which the next commit will tell of
                self._engine.refuses = StoreDown()
            log.error("store failed", error=error, publishes="refused until a restart", readers="served")
            self.on_failure()

    # Retention, and whether there is room again. Between the commits, in their thread.

    def _retain(self) -> None:
        if self._begun:
            self._retain_after = True
        elif self.status != STORE_FAILED:
            self._do(partial(self._store.retain, self._policies.of, time.time_ns() // 1000), self._retained)

    def _retained(self, dropped: list[Dropped] | None, error: Exception | None) -> None:
        if error is not None:
            self._failed(error)
        if dropped:
            self._engine.retained(dropped)
        if self.status == NO_SPACE:
            self._do(self._store.probe, partial(self._probed, bool(dropped)))
        else:
            self._again(bool(dropped))

    def _probed(self, more: bool, _: None, error: Exception | None) -> None:
        if error is not None:
            self._failed(error)
        elif self.status == NO_SPACE:
            self.status, self._halted = OK, False
            log.info("room again", publishes="taken")
            self._engine.has_room()
            self._tell_committed()
        self._again(more)

    def _again(self, more: bool) -> None:
        self._timer = self._loop.call_later(0.0 if more else _RETAIN_EVERY, self._retain)
