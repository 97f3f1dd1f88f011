"""A disk that can be filled: a tmpfs of the size of what is on it and a little more. Only root can make one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_ROOM = 96 << 20
_STEP = 64 << 10


def can_be_made() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextlib.contextmanager
def small_disk(folder: Path, store: Path) -> Iterator[Path]:
    """A copy of the store on a disk of its own, which is gone when the block ends. Raises OSError."""
    used = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    folder.mkdir()
    size = 2 * used + _ROOM
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tickwire", folder], capture_output=True)
    if made.returncode:
        raise OSError(made.stderr.decode().strip())
    try:
        shutil.copytree(store, folder / "store")
        yield folder / "store"
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


class Ballast:
    """A file that takes all the room there is left."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def fill(self) -> None:
        with contextlib.suppress(OSError), self._file.open("ab") as file:
            # A few large steps, then what is left.
            for step in (1 << 20, _STEP, 4096):
                self._grow(file.fileno(), step)

    def drop(self) -> None:
        self._file.unlink(missing_ok=True)

    def _grow(self, file: int, step: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                os.posix_fallocate(file, os.fstat(file).st_size, step)
