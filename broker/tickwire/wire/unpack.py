"""One msgpack object out of bytes nobody vouches for, in bounded time and memory."""

from __future__ import annotations

from typing import Any

import msgpack

from .errors import WireError
from .limits import FRAME_MESSAGES

# Nested empty arrays cost 250 ns a byte to build: a frame of 16 KiB cannot hold the loop longer than 4 ms, so only
# longer ones are counted as they close: arrays, maps and keys, and the elements of arrays.
_UNCOUNTED_BYTES = 16 << 10
# A legal PUBLISH has at most four a message (run, payloads, extras, key), and five elements.
FROM_CLIENT = (4 * FRAME_MESSAGES + 1024, 6 * FRAME_MESSAGES)
# msgpack allocates an array by the length that it declares: 3 KiB of nested headers took 75 MB and 53 ms. This many
# elements are allocated in a millisecond; a frame that could declare more is walked first, to see that they are there.
_UNSEEN_ELEMENTS = 1 << 18
_HARMLESS_BYTES = 1 << 10  # a frame this short cannot declare many more


def unpack(data: bytes, max_array: int, bounds: tuple[int, int] | None = None) -> Any:
    """One msgpack object, decoded in bounded time and memory. Raises WireError `bad_frame`.

    `bounds` are those of containers and elements in one frame; without, they are what a broker may send.
    """
    try:
        size = len(data)
        max_array = max_array if max_array < size else size  # an element is at least a byte
        if size > _HARMLESS_BYTES and may_declare(data, _UNSEEN_ELEMENTS // max_array):
            _check_complete(data)
        # The densest delivery that a broker may send has one of them in 6 bytes.
        count = _Count(*(bounds or (size // 6 + 1024, size))) if size > _UNCOUNTED_BYTES else None
        return msgpack.unpackb(
            data,
            max_array_len=max_array,
            max_map_len=256,
            max_ext_len=0,
            ext_hook=_refuse_extension,
            list_hook=count.array if count else None,
            object_hook=count.map if count else _string_keys,
        )
    except msgpack.StackError:
        raise WireError("bad_frame", "not a frame: nested deeper than the limit of 1024 levels") from None
    except msgpack.FormatError:
        raise WireError("bad_frame", "not a frame: it has a byte that msgpack does not use") from None
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise WireError("bad_frame", f"not a frame: {why}") from None


def may_declare(data: bytes, arrays: int) -> bool:
    """Whether that many bytes look like the header of a long array. `find` is 15 times as fast as `count`."""
    for header in (b"\xdc", b"\xdd"):
        at, found = data.find(header), 0
        while at >= 0:
            found += 1
            if found > arrays:
                return True
            at = data.find(header, at + 1)
    return False


def _check_complete(data: bytes) -> None:
    """Raise OutOfData where an array declares more elements than follow. Skipping allocates nothing."""
    walker = msgpack.Unpacker()
    walker.feed(data)
    walker.skip()


def _refuse_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension types are refused, this one has the code {code}")


def _string_keys(map: dict[Any, Any]) -> dict[str, Any]:
    for key in map:
        if type(key) is not str:
            raise ValueError(f"maps have strings as keys, not {type(key).__name__}")
    return map


class _Count:
    """Counts what closes, so that nesting cannot multiply past the bounds."""

    def __init__(self, max_containers: int, max_elements: int) -> None:
        self.containers = self.elements = 0
        self.max_containers, self.max_elements = max_containers, max_elements

    def array(self, array: list[Any]) -> list[Any]:
        self.containers += 1
        self.elements += len(array)
        if self.containers > self.max_containers:
            raise ValueError(f"it has more arrays, maps and keys than the limit of {self.max_containers}")
        if self.elements > self.max_elements:
            raise ValueError(f"its arrays have more elements than the limit of {self.max_elements}")
        return array

    def map(self, map: dict[Any, Any]) -> dict[str, Any]:
        self.containers += len(map)
        self.array([])
        return _string_keys(map)
