"""A disk in memory that loses what was not synced: in part, torn, out of order. It fails and fills up when told to.

SQLite writes to it through a VFS; a store on it is a real one. Each file has what the processes see, what a power cut
leaves for certain, and the writes between the two.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from weakref import WeakValueDictionary

import apsw

from tickwire.store.disk import DiskStore
from tickwire.store.disk.errors import StoreLocked, StoreMissing
from tickwire.store.disk.place import ACKNOWLEDGED, JOURNAL

Failure = Callable[[str], Exception]

Change = tuple[int, bytes] | int  # a write (offset, bytes), or a new size
VFS = "fake-disk"
SECTOR = 512
JOURNAL_BYTES = 8 << 10  # so few that it is filled again and again

_disks: WeakValueDictionary[str, FakeDisk] = WeakValueDictionary()
_numbers = itertools.count(1)


@dataclass(slots=True)
class FakeFile:
    """`content` is what is read, `durable` what was synced, `pending` what came between: writes, or a new size."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    named: bool = False  # whether its name outlives a power cut

    def write(self, data: bytes, offset: int) -> None:
        self.pending.append((offset, data))
        _put(self.content, data, offset)

    def truncate(self, size: int) -> None:
        self.pending.append(size)
        _resize(self.content, size)

    def sync(self) -> None:
        """Only what is pending: a write that a failed sync forgot is not brought back by the next one."""
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()
        self.named = True

    def cut(self, random: Random, keep: float, tear: float) -> None:
        """Lose each pending write, or sectors of it, or not."""
        for change in self.pending:
            if isinstance(change, int):
                parts: Iterable[Change] = [change]
            else:
                parts = _sectors(*change) if random.random() < tear else [change]
            for part in parts:
                if random.random() < keep:
                    _apply(self.durable, part)
        self.pending.clear()
        self.content[:] = self.durable

    def clone(self) -> FakeFile:
        return FakeFile(bytearray(self.content), bytearray(self.durable), list(self.pending), self.named)


class FakeDisk:
    """One directory of files, and what goes wrong with it. It is also the `Place` of a store on it.

    `writes` and `syncs` count; `fail_sync` and `full_at` name the count at which a sync fails, or from which on nothing
    that makes a file longer is written. `capacity` is a size in bytes for all files.
    """

    vfs: str | None = VFS
    block = SECTOR

    def __init__(self) -> None:
        self.name = f"disk-{next(_numbers)}"
        _disks[self.name] = self
        self.files: dict[str, FakeFile] = {}
        self.writes = self.syncs = 0
        self.fail_sync: int | None = None
        self.fail_keep: bool | None = None  # whether what a failing sync should have kept is kept; None: by `random`
        self.full_at: int | None = None
        self.capacity: int | None = None
        self.random = Random(0)
        self.life = 0  # of the process that writes; what an earlier one still holds goes nowhere
        self.taken = False
        self.beside = False  # whether the journal is written beside the interpreter too
        self._given: tuple[bytes, int, bytes] | None = None  # what is being written so

    @classmethod
    def formatted(cls) -> FakeDisk:
        """A disk with an empty store on it: a copy of one that is made once, so its epoch is the same in a process."""
        global _formatted
        if _formatted is None:
            _formatted = cls()
            store = _formatted.store()
            store.open()
            store.close()
        return _formatted.clone()

    def store(self, **options: Any) -> DiskStore:
        """A store on this disk, not opened yet."""
        return DiskStore(self, **options)

    def clone(self) -> FakeDisk:
        """Another disk with the same on it, synced or not."""
        disk = FakeDisk()
        disk.files = {name: file.clone() for name, file in self.files.items()}
        return disk

    # What goes wrong.

    def kill(self) -> None:
        """The process is gone, kill -9: what it wrote is there, synced or not."""
        self.life += 1
        self.taken = False
        if self._given is not None:
            (data, at, _), self._given = self._given, None
            if self.random.random() < 0.5:
                self.files[JOURNAL].write(data, at)

    def power_cut(self, random: Random) -> None:
        """What was not synced is lost: all, nothing, or each write or sector by chance."""
        self.kill()
        keep = random.choice((0.0, 1.0, 0.5, random.random()))
        tear = random.choice((0.0, 0.5, 1.0))
        for name, file in list(self.files.items()):
            if not file.named and random.random() >= keep:
                del self.files[name]
            else:
                file.cut(random, keep, tear)
                file.named = True

    def flip(self, name: str, bit: int) -> None:
        """Turn one bit of a file around, for good."""
        for content in (self.files[name].content, self.files[name].durable):
            if bit // 8 < len(content):
                content[bit // 8] ^= 1 << bit % 8

    def truncate(self, name: str, size: int) -> None:
        """Cut a file, for good."""
        for content in (self.files[name].content, self.files[name].durable):
            del content[size:]

    # A place for a store.

    def take(self, make: bool = True) -> None:
        if not make and not self.files:
            raise StoreMissing(self.name)
        if self.taken:
            raise StoreLocked(self.name, None)
        self.taken = True

    def release(self) -> None:
        self.taken = False

    def path(self, name: str) -> str:
        return f"/{self.name}/{name}"

    def size(self, name: str) -> int | None:
        return len(self.files[name].content) if name in self.files else None

    def read(self, name: str, size: int = 4096, at: int = 0) -> bytes | None:
        return bytes(self.files[name].content[at : at + size]) if name in self.files else None

    def write(self, name: str, data: bytes, sync: bool) -> None:
        self.put(name, data, 0, sync)

    def make(self, name: str) -> None:
        """SQLite makes it."""

    def set_aside(self) -> None:
        self.files.clear()

    def make_reserve(self) -> bool:
        return not self.full

    def give_up_reserve(self) -> bool:
        return False

    def room(self) -> int:
        return 0 if self.full else 1 << 40

    def allocate_wal(self) -> None:
        pass

    def make_journal(self) -> int:
        had = self.size(JOURNAL) or 0
        if had < JOURNAL_BYTES:
            try:
                self.put(JOURNAL, bytes(JOURNAL_BYTES - had), had, sync=True)
            except OSError:
                return 0
        return JOURNAL_BYTES

    def write_through(self, name: str, data: bytes, at: int) -> None:
        self.put(name, data, at, sync=True)

    @property
    def writes_beside(self) -> int | None:
        return 0 if self.beside else None

    def write_beside(self, data: bytes, at: int, note: bytes) -> None:
        assert self._given is None
        self._given = data, at, note

    def wrote_beside(self) -> bool:
        assert self._given is not None
        (data, at, note), self._given = self._given, None
        self.write_through(JOURNAL, data, at)
        self.put(ACKNOWLEDGED, note, 0, sync=False)
        return True

    def put(self, name: str, data: bytes, at: int, sync: bool) -> None:
        """What a store writes beside SQLite."""
        file = self.files.setdefault(name, FakeFile())
        self.count_write(file, at, len(data), _no_space)
        file.write(data, at)
        if sync:
            self.count_sync(file, _input_output)

    def push_wal(self) -> None:
        """Nothing is durable by that."""

    def sync_wal(self) -> None:
        """Nobody asks for it where there is only one connection."""

    def sync(self) -> None:
        for file in self.files.values():
            file.named = True

    # What happens to each write and sync.

    @property
    def full(self) -> bool:
        if self.full_at is not None and self.writes >= self.full_at:
            return True
        return self.capacity is not None and sum(len(file.content) for file in self.files.values()) >= self.capacity

    def count_write(self, file: FakeFile, offset: int, size: int, error: Failure = apsw.FullError) -> None:
        self.writes += 1
        grows = offset + size - len(file.content)
        if grows <= 0:
            return
        used = sum(len(each.content) for each in self.files.values()) if self.capacity is not None else 0
        if (self.full_at is not None and self.writes > self.full_at) or used + grows > (self.capacity or 1 << 62):
            raise error("database or disk is full")

    def count_sync(self, file: FakeFile, error: Failure = apsw.IOError) -> None:
        self.syncs += 1
        if self.fail_sync is None or self.syncs < self.fail_sync:
            file.sync()
            return
        # Once only, as Linux tells it: the pages count as clean afterwards, whether they are on the disk or not.
        self.fail_sync = None
        kept = self.fail_keep if self.fail_keep is not None else self.random.random() < 0.5
        if kept:
            file.sync()
        file.pending.clear()
        raise error("disk I/O error")


_formatted: FakeDisk | None = None


class _Handle:
    """An open file, as SQLite uses it."""

    def __init__(self, disk: FakeDisk, name: str, file: FakeFile, forget: bool) -> None:
        self._disk, self._name, self._file, self._forget = disk, name, file, forget
        self._life = disk.life

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._life == self._disk.life:
            self._disk.count_write(self._file, offset, len(data))
            self._file.write(bytes(data), offset)

    def xTruncate(self, size: int) -> None:
        if self._life == self._disk.life:
            self._file.truncate(size)

    def xSync(self, flags: int) -> None:
        if self._life == self._disk.life:
            self._disk.count_sync(self._file)

    def xFileSize(self) -> int:
        return len(self._file.content)

    def xClose(self) -> None:
        if self._forget and self._life == self._disk.life:
            self._disk.files.pop(self._name, None)

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE  # what SQLite takes for granted of a disk


class _Disks(apsw.VFS):
    """All fake disks behind one name: the first part of a path says which."""

    def __init__(self) -> None:
        super().__init__(VFS, maxpathname=256, iVersion=2)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _Handle:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return _Handle(FakeDisk(), "", FakeFile(), forget=False)
        disk, file = _of(path)
        if file not in disk.files:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(path)
            disk.files[file] = FakeFile()
        return _Handle(disk, file, disk.files[file], bool(flags[0] & apsw.SQLITE_OPEN_DELETEONCLOSE))

    def xDelete(self, path: str, sync: bool) -> None:
        disk, file = _of(path)
        if disk.files.pop(file, None) is None:
            raise apsw.IOError(path)

    def xAccess(self, path: str, flags: int) -> bool:
        disk, file = _of(path)
        return file in disk.files

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, count: int) -> bytes:
        return b"\x5a" * count

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTime(self) -> float:
        return 2_460_000.5

    def xCurrentTimeInt64(self) -> int:
        return 212_444_640_000_000

    def xGetLastError(self) -> tuple[int, str]:
        return 0, ""


def _no_space(text: str) -> OSError:
    return OSError(errno.ENOSPC, text)


def _input_output(text: str) -> OSError:
    return OSError(errno.EIO, text)


def _of(path: str) -> tuple[FakeDisk, str]:
    _, disk, file = path.split("/")
    return _disks[disk], file


def _apply(content: bytearray, change: Change) -> None:
    if isinstance(change, int):
        _resize(content, change)
    else:
        _put(content, change[1], change[0])


def _put(content: bytearray, data: bytes, offset: int) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = SECTOR - (offset + at) % SECTOR
        yield offset + at, data[at : at + size]
        at += size


_vfs = _Disks()  # registered as long as it lives
