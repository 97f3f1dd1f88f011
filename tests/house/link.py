"""A fake link: what the broker writes stands in a list until the reader takes it; the clock is turned by hand."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgpack

from tickwire.core.engine import Engine
from tickwire.core.limits import Limits
from tickwire.core.session import Session
from tickwire.core.store import Batch, StoreFailed, StoreFull
from tickwire.fanout.frame import Deflater
from tickwire.fanout.peer import Peer
from tickwire.store.memory import MemoryStore
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.messages import Delivery, End, FromBroker, Gap, Hello, Join, Message, Section


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    @property
    def time_us(self) -> int:
        return int(self.now * 1e6)


class RecordingStore(MemoryStore):
    """Remembers every message that was ever given an offset. Nothing is given twice."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, int], bytes] = {}

    def commit(self, batch: Batch) -> None:
        for topic, section in batch.sections:
            payloads = msgpack.unpackb(section.data)[4]
            for offset, payload in zip(range(section.first, section.end), payloads, strict=True):
                assert (topic, offset) not in self.messages, f"offset {offset} of {topic} was given twice"
                self.messages[topic, offset] = payload


class House:
    """An engine with a clock that stands still until `wait`."""

    def __init__(self, limits: Limits | None = None, deflater: Deflater | None = None, store: Any = None) -> None:
        self.clock = Clock()
        self.limits, self.deflater = limits or Limits(), deflater
        self.store = store or RecordingStore()
        self.engine = Engine(self.limits, self.store, deflater)
        self._ids = 0

    def link(self, inflates: bool = False, greet: bool = True) -> Link:
        self._ids += 1
        link = Link(self, self._ids, inflates)
        if greet:
            link.send(Hello())
            self.flush()
            link.take()
        return link

    def flush(self) -> None:
        self.engine.flush(self.clock.now, self.clock.time_us)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.engine.tick(self.clock.now)

    # With a store that is durable.

    def commit(self) -> bool:
        """Store what the engine has handed over, and tell it. Returns whether there was anything."""
        batch = self.engine.take_commit()
        if batch is None:
            return False
        try:
            self.store.commit(batch)
        except (StoreFull, StoreFailed) as error:
            self.engine.committed(error)
        else:
            self.engine.committed()
        return True

    def look_up(self) -> bool:
        """Read what the engine wants of the store. Returns whether there was anything."""
        reads = self.engine.take_reads()
        for read in reads:
            read.run(self.store)
            self.engine.read_done(read)
        return bool(reads)

    def retain(self) -> None:
        """Let the store drop what is not to be kept any more."""
        self.engine.retained(self.store.retain(self.limits.policies.of, self.clock.time_us))

    def settle(self) -> None:
        """Flush, store, read and sweep until nothing more comes of it."""
        for _ in range(10_000):
            busy = self.engine.due
            self.flush()
            busy = self.commit() or busy
            busy = self.look_up() or busy
            if not (self.engine.sweep() or busy or self.engine.due):
                return
        raise AssertionError("the engine does not come to rest")

    def restart(self) -> None:
        """The process ends here, with everything that was not stored, and another one begins."""
        self.engine = Engine(self.limits, self.store, self.deflater)


class Link:
    """One connection. The reader takes everything at once, or lets it stand: then it is a slow one."""

    def __init__(self, house: House, id: int, inflates: bool) -> None:
        self.house = house
        self.sent: list[bytes] = []  # one entry per write
        self.reading = True
        self.gone = False  # the transport's end has come, and the session has not heard of it
        self.peer = Peer(id, self._write, self._unsent, inflates)
        self.session = Session(house.engine, self.peer)

    def _write(self, data: bytes) -> None:
        if self.gone:
            raise RuntimeError("the handler is closed")  # what uvloop says
        self.sent.append(data)

    def _unsent(self) -> int:
        """A reader that reads has taken everything by the time anybody asks."""
        return 0 if self.reading else sum(map(len, self.sent))

    def send(self, message: Message | bytes) -> None:
        frame = message if isinstance(message, bytes) else encode(message)
        self.session.receive(frame, self.house.clock.now)

    def take_frames(self) -> list[bytes]:
        """The frames that were written since the last time."""
        stream, self.sent[:] = b"".join(self.sent), []
        return list(frames_of(stream))

    def take(self) -> list[FromBroker]:
        messages = [decode_from_broker(frame) for frame in self.take_frames()]
        return [message for message in messages if message is not None]

    def sections(self) -> list[Section]:
        return [section for message in self.take() if isinstance(message, Delivery) for section in message.sections]

    def payloads(self) -> list[bytes]:
        return [payload for section in self.sections() for payload in section.payloads]


def frames_of(stream: bytes) -> Iterator[bytes]:
    """The messages in a server's stream of WebSocket frames, each inflated by itself; control frames are left out."""
    at = 0
    while at < len(stream):
        first, length, at = stream[at], stream[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(stream[at : at + size], "big"), at + size
        body, at = stream[at : at + length], at + length
        if first & 0x08:
            continue
        yield zlib.decompressobj(-15).decompress(body + b"\x00\x00\xff\xff") if first & 0x40 else body


def told(messages: list[FromBroker]) -> list[tuple[object, ...]]:
    """What came, in short: sections as (topic, first, payloads), gaps, joins."""
    found: list[tuple[object, ...]] = []
    for message in messages:
        if isinstance(message, Delivery):
            found += [(each.topic, each.first, b"".join(each.payloads)) for each in message.sections]
        elif isinstance(message, Gap):
            found.append((message.topic, message.start, message.end, message.reason))
        elif isinstance(message, Join):
            found.append(("join", message.id))
        elif isinstance(message, End):
            found.append(("end", message.id))
    return found
