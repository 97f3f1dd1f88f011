"""What the system says about a process and a disk: CPU, memory, flushes. It is read from /proc and disturbs nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_FLUSHES = 18  # the column of /proc/diskstats that counts the flush requests a disk has completed


def cpu_seconds(pid: int) -> float:
    """What the process has used of a core since it started, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def busy_seconds() -> float:
    """What all programs and the kernel together have used of all cores since the system started."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) * _TICK_S


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    return _memory(pid, "VmRSS:")


def peak_resident(pid: int) -> int:
    """The most it has had since `reset_peak`, in bytes."""
    return _memory(pid, "VmHWM:")


def reset_peak(pid: int) -> None:
    """Let the peak start again from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def flushes(directory: Path) -> int | None:
    """Flush requests that the disk under the directory has completed. None where the system does not count them.

    A write with O_DSYNC is one of them, and an fdatasync when only data is due; one is two when the file grew and the
    journal of ext4 is due as well; a flush that several callers shared counts once. Other programs on that disk are
    counted too.
    """
    number = _whole_disk(os.stat(directory).st_dev)
    for line in Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if fields[:2] == number and len(fields) > _FLUSHES:
            return int(fields[_FLUSHES])
    return None


def bytes_in(directory: Path) -> int:
    """The size of all files below."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def forget_pages(directory: Path) -> None:
    """Ask the system to drop what it caches of the files, so that they are read from the disk again."""
    for path in directory.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)  # only clean pages can be dropped
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of them do not exceed. Raises ValueError where there is none."""
    if not values:
        raise ValueError("no percentile of nothing")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _memory(pid: int, key: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(key)[1].split()[0]) << 10


def _whole_disk(device: int) -> list[str]:
    """Partitions count no flushes; the disk that they are on does."""
    number = f"{os.major(device)}:{os.minor(device)}"
    entry = Path("/sys/dev/block", number)
    if (entry / "partition").exists():
        number = (entry.resolve().parent / "dev").read_text().strip()
    return number.split(":")
