"""The standard descriptors, as a shell may hand them over: closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from .client import note

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what a write says, and opening or reading hardly ever


def open_missing() -> None:
    """Have the null device where a descriptor is closed (`<&-`).

    Otherwise the next thing opened gets its number, and libuv ends the process when it is to close one of 0 to 2.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is the one that is missing: those below were just looked at.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def discard_output() -> None:
    """Send what is still to be written nowhere, or Python complains at its own exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell_unwritable(error: OSError) -> int:
    """Say why there is no output. Returns the exit code."""
    with contextlib.suppress(OSError):  # the same disk, perhaps
        note(f"cannot write to standard output: {error.strerror}")
    discard_output()
    return 1
