"""What Python was the limit of, in C: sends to an audience, frames out of a read, payloads in a frame, commits.

It is made where Tickwire is installed, if a compiler is there, and optional: each function has its reference in Python,
in the module that calls it. TICKWIRE_NATIVE=0 leaves it out.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

LIBRARY = Path(__file__).with_name("native.so")

_pointer, _u64, _i64 = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64


def load() -> ctypes.PyDLL | None:
    """The library, or None where it was not made, or cannot be loaded."""
    if os.environ.get("TICKWIRE_NATIVE") == "0":
        return None
    try:
        # PyDLL keeps the interpreter: the calls are short, and to get it back from a thread takes longer than they do.
        library = ctypes.PyDLL(str(LIBRARY))
    except OSError:
        return None
    library.tickwire_send.argtypes = [ctypes.c_int32, ctypes.c_char_p, _u64]
    library.tickwire_send_to_all.argtypes = [_pointer, _pointer, _u64, ctypes.c_char_p, _u64, _pointer, _pointer]
    library.tickwire_fan_out.argtypes = [_pointer, ctypes.py_object, _pointer, ctypes.c_uint32, *[_pointer] * 8]
    library.tickwire_payload_ends.argtypes = [ctypes.c_char_p, _u64, _u64, _u64, _pointer]
    library.tickwire_take_frames.argtypes = [
        ctypes.py_object,
        ctypes.c_char_p,
        _u64,
        _u64,
        _u64,
        ctypes.c_int32,
        _pointer,
    ]
    library.tickwire_plain_payloads.argtypes = [
        ctypes.py_object,
        ctypes.c_char_p,
        *[_u64] * 3,
        _pointer,
        _u64,
        _pointer,
    ]
    library.tickwire_plain_payloads.restype = ctypes.py_object
    for function in (
        library.tickwire_send,
        library.tickwire_send_to_all,
        library.tickwire_fan_out,
        library.tickwire_payload_ends,
        library.tickwire_take_frames,
    ):
        function.restype = _i64
    if hasattr(library, "tickwire_writer_open"):  # Linux
        library.tickwire_writer_open.argtypes = [ctypes.c_int32, ctypes.c_int32]
        library.tickwire_writer_open.restype = _pointer
        library.tickwire_writer_ended.argtypes = library.tickwire_writer_result.argtypes = [_pointer]
        library.tickwire_writer_ended.restype = library.tickwire_writer_result.restype = _i64
        library.tickwire_writer_give.argtypes = [_pointer, _pointer, _u64, _i64, ctypes.c_char_p, _u64]
        library.tickwire_writer_give.restype = library.tickwire_writer_close.restype = None
        library.tickwire_writer_close.argtypes = [_pointer]
    return library


native = load()
