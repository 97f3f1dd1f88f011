"""What Python was the limit of, in C: sends to an audience, frames out of a read, payloads in a frame, commits.

It is made where Tickwire is installed, if a compiler is there, and optional: each function has its reference in Python,
in the module that calls it. TICKWIRE_NATIVE=0 leaves it out.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("native.so")

_object, _bytes, _pointer = ctypes.py_object, ctypes.c_char_p, ctypes.c_void_p
_i32, _u32, _i64, _u64 = ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_uint64
# What each function gives and takes, as it is declared in C.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "tickwire_send": (_i64, [_i32, _bytes, _u64]),
    "tickwire_send_to_all": (_i64, [_pointer, _pointer, _u64, _bytes, _u64, _pointer, _pointer]),
    "tickwire_fan_out": (_i64, [_pointer, _object, _pointer, _u32, *[_pointer] * 8]),
    "tickwire_payload_ends": (_i64, [_bytes, _u64, _u64, _u64, _pointer]),
    "tickwire_take_frames": (_i64, [_object, _bytes, _u64, _u64, _u64, _i32, _u64, _pointer]),
    "tickwire_plain_payloads": (_object, [_object, _bytes, _u64, _u64, _u64, _pointer, _u64, _pointer]),
    "tickwire_apart": (_i64, [_object, _u64, _u64, *[_object] * 3, _pointer]),
    "tickwire_seal": (_i64, [_object] * 9),
    "tickwire_live_frames": (_i64, [_object, _object]),
    "tickwire_writer_open": (_pointer, [_i32, _i32]),
    "tickwire_writer_ended": (_i64, [_pointer]),
    "tickwire_writer_result": (_i64, [_pointer]),
    "tickwire_writer_give": (None, [_pointer, _pointer, _u64, _i64, _bytes, _u64]),
    "tickwire_writer_close": (None, [_pointer]),
}


def load() -> ctypes.PyDLL | None:
    """The library, or None where it was not made, or cannot be loaded."""
    if os.environ.get("TICKWIRE_NATIVE") == "0":
        return None
    try:
        # PyDLL keeps the interpreter: the calls are short, and to get it back from a thread takes longer than they do.
        library = ctypes.PyDLL(str(LIBRARY))
    except OSError:
        return None
    for name, (result, arguments) in _FUNCTIONS.items():
        if function := getattr(library, name, None):  # those of the writer are there on Linux
            function.restype, function.argtypes = result, arguments
    return library


native = load()
