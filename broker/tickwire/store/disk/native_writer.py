"""A thread of the C library's that writes commits: the interpreter need not be passed to it and back for each."""

from __future__ import annotations

import ctypes
import mmap
import os

from tickwire.native import native


class NativeWriter:
    """Writes one thing at a time. `ended` can be read when that is done."""

    def __init__(self, writer: int) -> None:
        assert native is not None
        self._library, self._writer = native, writer
        self.ended: int = native.tickwire_writer_ended(writer)
        self._buffer: ctypes.Array[ctypes.c_char] | None = None
        self._of: mmap.mmap | None = None

    def give(self, data: mmap.mmap, size: int, at: int, note: bytes) -> None:
        """Write so many bytes there, and then the note at the beginning of its file. The bytes stay as they are."""
        if self._of is not data:
            self._of, self._buffer = data, (ctypes.c_char * len(data)).from_buffer(data)
        assert self._buffer is not None
        self._library.tickwire_writer_give(self._writer, ctypes.addressof(self._buffer), size, at, note, len(note))

    def is_done(self) -> bool:
        """Whether what was given is written. Raises OSError where it could not be."""
        result: int = self._library.tickwire_writer_result(self._writer)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result == 0

    def close(self) -> None:
        self._library.tickwire_writer_close(self._writer)
        self._buffer = self._of = None


def native_writer(file: int, note_file: int) -> NativeWriter | None:
    """The thread for these two files, of which the first is written through. None where there is no such thread."""
    if native is None or not hasattr(native, "tickwire_writer_open") or not hasattr(os, "O_DSYNC"):
        return None
    writer = native.tickwire_writer_open(file, note_file)
    return None if writer is None else NativeWriter(writer)
