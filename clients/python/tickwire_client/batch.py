"""A batch: messages of any topics in one frame, accepted or refused as a whole, with one acknowledgment."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping

from tickwire.wire.limits import BYTES, MSGPACK

from .errors import TickwireError
from .messages import Receipt
from .payloads import pack
from .publishes import Whole
from .runs import Runs


class Missing:
    """No data was given; None is data."""

    def __repr__(self) -> str:
        return "<missing>"


MISSING = Missing()


def encoded(data: object, payload: bytes | None) -> tuple[bytes, int]:
    """The bytes to publish and their format. Raises TypeError where there is not exactly one of the two."""
    if type(payload) is bytes and data is MISSING:
        return payload, BYTES
    if payload is None:
        if data is MISSING:
            raise TypeError("what is to be published? give data, or payload= with bytes")
        return pack(data), MSGPACK
    if data is not MISSING:
        raise TypeError("give data or payload=, not both")
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise TypeError(f"payload must be bytes, not {type(payload).__name__}; as data it would be encoded")
    return bytes(payload), BYTES


def _encoded_all(data: Iterable[object] | Missing, payloads: Iterable[bytes] | None) -> tuple[list[bytes], int]:
    """The bytes to publish and their format. Raises TypeError where there is not exactly one of the two."""
    given = data if payloads is None else payloads
    if isinstance(given, Missing) or (payloads is not None and data is not MISSING):
        raise TypeError("give either data or payloads=, a list of messages")
    if isinstance(given, (str, bytes, bytearray, memoryview, Mapping)):
        raise TypeError(f"a list of messages is needed, and {type(given).__name__} is one: add it with `add`")
    if payloads is None:
        return [pack(each) for each in given], MSGPACK
    bodies = list(payloads)
    if set(map(type, bodies)) - {bytes}:
        bodies = [encoded(MISSING, body)[0] for body in bodies]
    return bodies, BYTES


def _published_already() -> TickwireError:
    return TickwireError("this batch was published already; begin another one")


class Batch:
    """Published on leaving `async with`, unless an exception left it; `receipts` are there afterwards."""

    def __init__(self, publish: Callable[[Runs], Awaitable[Whole]], check: Callable[[str, bytes, int], None]) -> None:
        self._publish, self._check = publish, check
        self._messages = Runs()
        self._sent = False
        self._published: Whole | None = None

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} messages{', published' if self._sent else ''}>"

    def __len__(self) -> int:
        return len(self._messages)

    def __del__(self) -> None:
        if not self._sent and self._messages:
            text = f"a batch of {len(self)} messages was never entered with 'with': nothing of it was published"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)

    def add(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> None:
        """Add a message. Raises Refused where the broker takes no such topic, or no payload as large."""
        if self._sent:
            raise _published_already()
        body, format = encoded(data, payload)
        self._messages.add(topic, body, format, self._check)

    def extend(
        self, topic: str, data: Iterable[object] | Missing = MISSING, *, payloads: Iterable[bytes] | None = None
    ) -> None:
        """Add many messages of one topic: all of them or, where it raises as `add` does, none.

        `data` are msgpack values, `payloads=` bytes that go as they are. This is the fast way: a hundred payloads take
        3 us, and 27 with `add`.
        """
        if self._sent:
            raise _published_already()
        bodies, format = _encoded_all(data, payloads)
        self._messages.extend(topic, bodies, format, self._check)

    @property
    def receipts(self) -> list[Receipt]:
        """One for each message, in the order they were added; empty until the batch is acknowledged."""
        return [] if self._published is None else self._published.receipts

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._sent = True
        if kind is None and self._messages:
            self._published = await self._publish(self._messages)
