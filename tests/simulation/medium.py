"""What a broker's life leaves to the next one: a fake disk, a store that keeps in memory, or nothing at all."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

from house.fake_disk import FakeDisk
from house.kept_store import KeptStore
from tickwire.core.store import Batch, Life, Store, StoreFailed, StoreFull
from tickwire.store.memory import MemoryStore


class Medium(Protocol):
    """`power_fails_in` lets the power go after so many more writes and syncs; `dark` says that it did."""

    durable: bool
    dark: bool

    def store(self) -> Store: ...
    def kill(self) -> None: ...
    def power_cut(self) -> None: ...
    def power_fails_in(self, steps: int) -> None: ...
    def fail_next_sync(self) -> None: ...
    def fill(self, room: int) -> None: ...
    def heal(self) -> None: ...


class OnDisk:
    """SQLite on a disk that loses what was not synced, in part, torn and reordered."""

    durable = True

    def __init__(self, random: Random) -> None:
        self._random = random
        self.dark = False
        self._steps: int | None = None
        self._disk = FakeDisk.formatted()
        self._disk.random = random
        self._disk.beside = True
        self._count_write, self._count_sync = self._disk.count_write, self._disk.count_sync
        self._disk.count_write, self._disk.count_sync = self._writes, self._syncs  # type: ignore[method-assign]

    def store(self) -> Store:
        self.dark = False
        return self._disk.store(identity_seconds=60.0, identity_frames=16)

    def kill(self) -> None:
        self._steps = None
        self._disk.kill()

    def power_cut(self) -> None:
        self._steps = None
        self._disk.power_cut(self._random)

    def power_fails_in(self, steps: int) -> None:
        self._steps = steps

    def fail_next_sync(self) -> None:
        self._disk.fail_sync = self._disk.syncs + 1

    def fill(self, room: int) -> None:
        self._disk.capacity = sum(len(file.content) for file in self._disk.files.values()) + room

    def heal(self) -> None:
        self._disk.capacity = self._disk.fail_sync = None

    def _writes(self, *values: Any) -> None:
        self._step()
        self._count_write(*values)

    def _syncs(self, *values: Any) -> None:
        self._step()
        self._count_sync(*values)

    def _step(self) -> None:
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                self.power_cut()
                self.dark = True
                raise OSError("the power is gone")


class Unsteady(KeptStore):
    """A kept store that fails when it is told to, with the batch kept or not."""

    full = False
    broken = False
    steps: int | None = None
    keeps = True

    def commit(self, batch: Batch) -> None:
        if self.broken:
            raise StoreFailed("it failed before")
        if self.full:
            raise StoreFull("there is no room")
        if self.steps is not None:
            self.broken = True
            if self.keeps:
                super().commit(batch)
            raise StoreFailed("the disk failed")
        super().commit(batch)

    def probe(self) -> None:
        if self.full:
            raise StoreFull("there is no room")

    def open(self) -> Life:
        self.broken, self.steps = False, None
        return super().open()


class Kept:
    """Whole commits, kept or not: fast, and without a disk's many ways."""

    durable = True

    def __init__(self, random: Random) -> None:
        self._random = random
        self._store = Unsteady()
        self.dark = False

    def store(self) -> Store:
        return self._store

    def kill(self) -> None:
        self._store.steps = None

    power_cut = kill

    def power_fails_in(self, steps: int) -> None:
        self._store.steps, self._store.keeps = steps, self._random.random() < 0.5

    def fail_next_sync(self) -> None:
        self.power_fails_in(0)

    def fill(self, room: int) -> None:
        self._store.full = True

    def heal(self) -> None:
        self._store.full, self._store.steps = False, None


class Forgetful(MemoryStore):
    """Its epochs are those of the history's seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def open(self) -> Life:
        return Life(epoch=self._random.getrandbits(48))


class Nothing:
    """A broker that has no disk: each life is an epoch of its own."""

    durable = False
    dark = False

    def __init__(self, random: Random) -> None:
        self._random = random

    def store(self) -> Store:
        return Forgetful(self._random)

    def kill(self) -> None: ...
    def power_cut(self) -> None: ...
    def power_fails_in(self, steps: int) -> None: ...
    def fail_next_sync(self) -> None: ...
    def fill(self, room: int) -> None: ...
    def heal(self) -> None: ...
