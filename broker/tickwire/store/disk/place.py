"""The directory of a store: its lock, its files beside the database, and the reserve that a full disk gives back."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .errors import NotADirectory, StoreMissing, StoreReadOnly
from .lock import Lock
from .native_writer import NativeWriter, native_writer

DATABASE, WAL, WAL_INDEX = "tickwire.db", "tickwire.db-wal", "tickwire.db-shm"
ACKNOWLEDGED, JOURNAL, RESERVE = "acknowledged", "journal", "reserve"
WAL_BYTES = 32 << 20  # commits fill the second half while the pages of the first go home
RESERVE_BYTES = WAL_BYTES  # so that on a full disk all of the WAL can go home, and the oldest be dropped
# 32,768 pages, more than a commit and what came before it can be. SQLite asks for more of it only when a commit is
# synced already: had a full disk no room for it then, nobody could tell whether that commit is there.
WAL_INDEX_BYTES = 256 << 10
JOURNAL_BYTES = 8 << 20  # two thousand commits of a few messages, of which the older half goes home meanwhile
_BLOCK = 4 << 10  # what O_DIRECT asks for of any disk
_SYNC_FILE_RANGE_WRITE = 2  # <linux/fs.h>


def whole_blocks(size: int, block: int) -> int:
    """The bytes of as many blocks as it takes."""
    return -(-size // block) * block


class Place(Protocol):
    """Where a store's files are. Their names are those above."""

    vfs: str | None
    """The VFS of SQLite that reaches them; None is the operating system's."""

    block: int
    """What `write_through` writes whole numbers of, at multiples of it."""

    def take(self, make: bool = True) -> None:
        """Keep every other broker out; where it is missing, `make` it. Raises StoreError."""

    def release(self) -> None:
        """Let others in."""

    def path(self, name: str) -> str: ...

    def size(self, name: str) -> int | None:
        """None where there is no such file."""

    def read(self, name: str, size: int = 4096, at: int = 0) -> bytes | None:
        """As much as there is of it; None where there is no such file."""

    def write(self, name: str, data: bytes, sync: bool) -> None:
        """Put these bytes at the beginning of a small file. Without `sync` only a power cut may undo it."""

    def make(self, name: str) -> None:
        """Make an empty file that nobody else may read, where there is none. SQLite gives its files the same mode."""

    def set_aside(self) -> str | None:
        """Move the store's files out of the way, for whoever wants to look at them; says where to."""

    def allocate_wal(self) -> None:
        """Give the WAL and its index the space that they will need, so that a disk that fills up finds it there.

        To be called while SQLite has both open.
        """

    def make_journal(self) -> int:
        """Give the journal its space, and say how much that is: 0 where there is no room for it."""

    def write_through(self, name: str, data: bytes, at: int) -> None:
        """Put these bytes into a file that has space for whole blocks of them. Durable when this returns."""

    @property
    def writes_beside(self) -> int | None:
        """A descriptor that can be read when `write_beside` has ended; None where that cannot be done, or not yet."""

    def write_beside(self, data: bytes, at: int, note: bytes) -> None:
        """Start to put these bytes into the journal, durably, and then the note into ACKNOWLEDGED: one at a time."""

    def wrote_beside(self) -> bool:
        """Whether that has ended. Raises OSError where it has not ended well."""

    def push_wal(self) -> None:
        """Have the system begin to write what SQLite has written to its WAL, so that a sync finds little to do."""

    def sync_wal(self) -> None:
        """Make durable what SQLite has written to its WAL."""

    def sync(self) -> None:
        """Make the names of the files outlive a power cut."""

    def make_reserve(self) -> bool:
        """Hold space back, if it is not held. Returns whether it is."""

    def give_up_reserve(self) -> bool:
        """Give the space back to the disk. Returns whether there was any."""

    def room(self) -> int:
        """Bytes that the disk still has."""


class Directory:
    """A directory of the operating system."""

    vfs: str | None = None
    block = _BLOCK

    def __init__(self, path: str | os.PathLike[str], reserve_bytes: int = RESERVE_BYTES) -> None:
        self.directory = Path(path)
        self._reserve_bytes = reserve_bytes
        self._lock = Lock(self.directory)
        self._open: dict[str, int] = {}
        self._aligned: mmap.mmap | None = None
        self._writer: NativeWriter | None = None

    def take(self, make: bool = True) -> None:
        try:
            if not make and not self.directory.exists():
                raise StoreMissing(str(self.directory))
            if not make and self.directory.is_dir() and not self._holds_a_store():
                raise StoreMissing(self.path(DATABASE))  # and leave no lock where there is nothing to be locked
            if not self.directory.is_dir():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_directory(self.directory.parent)
        except (FileExistsError, NotADirectoryError):
            raise NotADirectory(str(self.directory)) from None
        except OSError as error:
            raise StoreReadOnly(str(self.directory), error.strerror or str(error)) from None
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise StoreReadOnly(str(self.directory), "permission denied or read-only")
        self._lock.take()

    def release(self) -> None:
        self._close_files()
        self._lock.release()

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def size(self, name: str) -> int | None:
        try:
            return (self.directory / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str, size: int = 4096, at: int = 0) -> bytes | None:
        try:
            with open(self.directory / name, "rb", buffering=0) as file:
                return os.pread(file.fileno(), size, at)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes, sync: bool) -> None:
        file = self._open.get(name)
        if file is None:
            file = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._open[name] = file
        os.pwrite(file, data, 0)
        if sync:
            os.fsync(file)
            _sync_directory(self.directory)

    def make(self, name: str) -> None:
        # Closed again before SQLite opens it: later, that would take SQLite's locks with it (POSIX advisory locks).
        os.close(os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def set_aside(self) -> str | None:
        aside = next(path for n in range(1, 10_000) if not (path := self.directory / f"damaged-{n}").exists())
        aside.mkdir(mode=0o700)
        for name in (DATABASE, WAL, JOURNAL, ACKNOWLEDGED):
            with contextlib.suppress(FileNotFoundError):
                (self.directory / name).rename(aside / name)
        with contextlib.suppress(FileNotFoundError):
            (self.directory / WAL_INDEX).unlink()
        self._close_files()
        _sync_directory(self.directory)
        return str(aside)

    def make_reserve(self) -> bool:
        path = self.directory / RESERVE
        if self.size(RESERVE) == self._reserve_bytes:
            return True
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _allocate(file, self._reserve_bytes)
            finally:
                os.close(file)
        except OSError:
            self.give_up_reserve()
            return False
        return True

    def give_up_reserve(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            (self.directory / RESERVE).unlink()
            return True
        return False

    def room(self) -> int:
        disk = os.statvfs(self.directory)
        return disk.f_bavail * disk.f_frsize

    def allocate_wal(self) -> None:
        # They stay open until SQLite has closed its own: the first to be closed would take the locks of all with it.
        for name, size in ((WAL, WAL_BYTES), (WAL_INDEX, WAL_INDEX_BYTES)):
            with contextlib.suppress(OSError):
                file = self._open[name] = os.open(self.directory / name, os.O_RDWR | os.O_CLOEXEC)
                _allocate(file, size, written=name == WAL)

    def make_journal(self) -> int:
        try:
            file = os.open(self.directory / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _allocate(file, JOURNAL_BYTES, written=True)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError:
            return 0
        return JOURNAL_BYTES

    def write_through(self, name: str, data: bytes, at: int) -> None:
        file = self._open.get(name)
        if file is None:
            file = self._open[name] = _open_through(self.directory / name)
        aligned, size = self._align(data)
        with memoryview(aligned) as whole, whole[:size] as blocks:
            wrote = _write_blocks(file, blocks, at)
        if wrote != size:
            raise OSError(errno.EIO, f"{wrote} of {size} bytes were written")
        if not hasattr(os, "O_DSYNC") or sys.platform == "darwin":
            _sync_fully(file)

    @property
    def writes_beside(self) -> int | None:
        # Not before Python has written once: `_write_blocks` has found out by then how it may be done.
        if self._writer is None and JOURNAL in self._open and ACKNOWLEDGED in self._open:
            self._writer = native_writer(self._open[JOURNAL], self._open[ACKNOWLEDGED])
        return None if self._writer is None else self._writer.ended

    def write_beside(self, data: bytes, at: int, note: bytes) -> None:
        assert self._writer is not None
        aligned, size = self._align(data)
        self._writer.give(aligned, size, at, note)

    def wrote_beside(self) -> bool:
        return self._writer is not None and self._writer.is_done()

    def push_wal(self) -> None:
        # What PostgreSQL does between checkpoints (checkpoint_flush_after): else a sync writes 5 MB at once, and the
        # commits of that time wait behind it. 1.07 times as many single messages of sixteen publishers (15 pairs).
        if _sync_file_range is not None and WAL in self._open:
            _sync_file_range(self._open[WAL], 0, 0, _SYNC_FILE_RANGE_WRITE)

    def sync_wal(self) -> None:
        if WAL not in self._open:
            self._open[WAL] = os.open(self.directory / WAL, os.O_RDWR | os.O_CLOEXEC)
        _sync_fully(self._open[WAL])

    def sync(self) -> None:
        _sync_directory(self.directory)

    def _align(self, data: bytes) -> tuple[mmap.mmap, int]:
        """The bytes in whole blocks, and how long those are."""
        size = whole_blocks(len(data), _BLOCK)
        if self._aligned is None or len(self._aligned) < size:
            self._aligned = mmap.mmap(-1, size)  # anonymous memory begins with a page, as O_DIRECT wants it
        self._aligned[: len(data)] = data
        return self._aligned, size

    def _holds_a_store(self) -> bool:
        return self.size(DATABASE) is not None or self.size(ACKNOWLEDGED) is not None

    def _close_files(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for file in self._open.values():
            os.close(file)
        self._open.clear()


def _range_syncing() -> Callable[[int, int, int, int], int] | None:
    """sync_file_range(2) of Linux, which Python has not."""
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    call: Callable[[int, int, int, int], int] = function
    return call


_sync_file_range = _range_syncing()


def _allocate(file: int, size: int, written: bool = False) -> None:
    """Make the file so long, with room on the disk for all of it. Where that cannot be asked for, it is only longer.

    With `written` there are zeros where nothing was.
    """
    had = os.fstat(file).st_size
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif had < size:
        os.ftruncate(file, size)
    if written:
        _write_zeros(file, had, size)


def _write_zeros(file: int, start: int, end: int) -> None:
    """Once where nothing was: a sync after the first write to space that is only set aside took 140 us, later 90."""
    zeros = bytes(1 << 20)
    for at in range(start, end, len(zeros)):
        os.pwrite(file, zeros[: end - at], at)


def _open_through(path: Path) -> int:
    """A file whose writes are synced by themselves, and go past the page cache where the file system lets them."""
    flags = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_DSYNC", 0)
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.open(path, flags)


def _write_blocks(file: int, blocks: memoryview, at: int) -> int:
    """Some file systems let a file be opened with O_DIRECT, and then refuse the write: then through the page cache."""
    try:
        return os.pwrite(file, blocks, at)
    except OSError as error:
        flags, direct = fcntl.fcntl(file, fcntl.F_GETFL), getattr(os, "O_DIRECT", 0)
        if error.errno != errno.EINVAL or not flags & direct:
            raise
        fcntl.fcntl(file, fcntl.F_SETFL, flags & ~direct)
    return os.pwrite(file, blocks, at)


def _sync_fully(file: int) -> None:
    """All the way to the disk: macOS stops before its cache unless it is asked like this."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(file)


def _sync_directory(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
    finally:
        os.close(file)
