"""Data to payloads and back: msgpack, with the cost of decoding bounded whoever published."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import msgpack

from tickwire.wire.encode import array_header
from tickwire.wire.unpack import may_declare

from .errors import WireError

# Bounds of one payload. Building an array costs up to 250 ns, so this many hold the loop for less than 20 ms.
MAX_CONTAINERS = 65_536
# Integers as keys are handy (an order book) but can be chosen to collide, which costs the square of their number.
MAX_ODD_KEYS = 1_024
# Payloads up to this many bytes together are decoded in one call, uncounted: nested empty arrays of 64 KiB take 16 ms.
TOGETHER_BYTES = 64 << 10

# msgpack allocates an array by the length that it declares. Bytes that may be the headers of more long arrays than this
# are walked first, to see that what they declare is there.
_LONG_ARRAYS = 16

_TIMESTAMP_BYTES = 12


# Stands between payloads that are decoded together. Random, so that no publisher can write it: a payload that is half
# an object, or two, moves the separators from their places and cannot push its neighbours' data into another message.
# A float, since that is what msgpack makes fastest of 8 bytes.
def _separator() -> tuple[float, bytes]:
    """One in which `may_declare` sees no header of an array, or all would be walked: 18 % more instructions."""
    while True:
        value = secrets.SystemRandom().random()
        packed: bytes = msgpack.packb(value)
        if not {0xDC, 0xDD} & set(packed):
            return value, packed


_SEPARATOR, _PACKED_SEPARATOR = _separator()

_FAULTS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)


def new_packer() -> msgpack.Packer:
    """What packs as `pack` does, one value at a time. After an error it holds a part of that: it is of no use then."""
    return msgpack.Packer(datetime=True, autoreset=True)


class _Packers(threading.local):
    """A packer for each thread: the data of one may run Python code of its own, and another thread meanwhile."""

    packer: msgpack.Packer | None = None  # none while it packs: data may run code that packs something else


_local = _Packers()


def pack(data: Any) -> bytes:
    """The payload of any value msgpack can hold; an aware datetime is a timestamp. Raises TypeError or ValueError."""
    packer, _local.packer = _local.packer or new_packer(), None
    try:
        packed: bytes = packer.pack(data)
    except (TypeError, ValueError) as error:
        raise not_packed(error) from None
    _local.packer = packer
    return packed


def not_packed(error: TypeError | ValueError) -> TypeError | ValueError:
    """The same, with what to do about it."""
    if "datetime" in str(error):
        return TypeError("a datetime without a time zone cannot be sent, an aware one can: datetime.now(UTC)")
    if isinstance(error, TypeError):
        text = "data is None, bool, int, float, str, bytes, list, dict or an aware datetime, and what holds such"
        return TypeError(f"{error}: {text}; make it one of them, or give payload=")
    return error


def unpack(payload: bytes) -> Any:
    """The value of one payload. Raises WireError where it is not exactly one msgpack object, or past the bounds."""
    if len(payload) <= TOGETHER_BYTES:
        try:
            return _unpackb(payload)
        except _FAULTS:
            pass  # perhaps only its keys are odd: what follows allows a number of those, or says what is wrong
    bounds = _Bounds()
    try:
        return _unpackb(
            payload, strict_map_key=False, list_hook=bounds.closed_list, object_pairs_hook=bounds.closed_map
        )
    except _FAULTS as error:
        why = str(error) or type(error).__name__
        text = f"the payload is not one msgpack object: {why}; read .payload for its bytes"
        raise WireError("bad_payload", text) from None


def unpack_together(payloads: list[bytes]) -> list[Any] | None:
    """The values of payloads that are one msgpack object each, in one call; None where that cannot be."""
    count = len(payloads)
    joined = _PACKED_SEPARATOR.join(payloads)
    if len(joined) > TOGETHER_BYTES + count * len(_PACKED_SEPARATOR):
        return None
    try:
        values: list[Any] = _unpackb(array_header(2 * count - 1) + joined)
    except _FAULTS:
        return None
    # Only floats are compared: what else was decoded may be anything.
    separators = values[1::2]
    if set(map(type, separators)) <= {float} and separators.count(_SEPARATOR) == count - 1:
        return values[::2]
    return None


class _Bounds:
    """Counts what a payload holds as it is built, so that nesting cannot multiply past a bound."""

    def __init__(self) -> None:
        self._containers = 0
        self._odd_keys = 0

    def closed_list(self, container: list[Any]) -> list[Any]:
        self._count()
        return container

    def closed_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._count()
        for key, _ in pairs:
            if type(key) is not str:
                self._odd_keys += 1
        if self._odd_keys > MAX_ODD_KEYS:
            raise ValueError(f"more than {MAX_ODD_KEYS} map keys that are not strings")
        return dict(pairs)

    def _count(self) -> None:
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise ValueError(f"more than {MAX_CONTAINERS} arrays and maps")


def _refuse_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code} is not known here")


def _unpackb(data: bytes, **options: Any) -> Any:
    if may_declare(data, _LONG_ARRAYS):
        walker = msgpack.Unpacker(max_buffer_size=len(data))
        walker.feed(data)
        walker.skip()
    unpackb: Callable[..., Any] = msgpack.unpackb
    return unpackb(data, timestamp=3, ext_hook=_refuse_extension, max_ext_len=_TIMESTAMP_BYTES, **options)
