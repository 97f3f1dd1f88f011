"""One broker at a time: a lock on a file of the directory, which the kernel takes back when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from .errors import StoreLocked, StoreReadOnly


class Lock:
    """Held from `take` to `release`. The file says which process has it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: int | None = None

    def take(self) -> None:
        """Raises StoreLocked, StoreReadOnly."""
        try:
            file = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreReadOnly(str(self._directory), error.strerror or str(error)) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _pid_in(file)
            os.close(file)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise StoreLocked(str(self._directory), holder) from None
            raise StoreReadOnly(str(self._directory), f"no lock there: {error.strerror}") from None
        self._file = file
        self._say_whose(file)

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _say_whose(self, file: int) -> None:
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds without its name


def _pid_in(file: int) -> int | None:
    text = os.pread(file, 20, 0).strip()
    return int(text) if text.isdigit() else None
