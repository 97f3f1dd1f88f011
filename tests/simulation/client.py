"""A client of a history: the SDK's session and a link, and everything that it was told, as events for the checker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack

from house.link import Link
from proof import events
from proof.events import Event, Record, Sent, payload_of, sent_of
from tickwire.core.errors import Goodbye
from tickwire.wire.decode import decode_from_broker, decode_from_client
from tickwire_client import Gap, OutcomeUnknown, Receipt, Refused, TickwireError
from tickwire_client.feed import Feed
from tickwire_client.positions import Start
from tickwire_client.publishes import Whole
from tickwire_client.runs import Runs
from tickwire_client.session import Session
from tickwire_client.share import Share
from tickwire_client.work import Terms, Work

from .broker import LIMITS, Broker
from .watch import Watch

DEAD = "$dead."
DEADLINE = LIMITS.identity_seconds / 2  # after so long on its way a frame finds no connection any more


class Reader:
    """A subscription of a client: what it was given becomes events. `expected` are refusals that are right."""

    def __init__(self, client: Client, name: str, feed: Any, pattern: str, expected: set[str] | None = None) -> None:
        self.client, self.name, self.feed, self.pattern = client, name, feed, pattern
        self.expected = expected or set()
        self.held: list[Any] = []  # messages that a consumer has and has not acknowledged
        self.final: list[Event] | None = None

    def poll(self) -> bool:
        items = self.feed.take()
        for item in items:
            self._gap(item) if isinstance(item, Gap) else self._section(item)
        error = self.feed.error
        if isinstance(error, Refused) and error.code not in self.expected:
            self.client.blame(f"{self.name} was refused: {error}")
            self.expected.add(error.code)
        return bool(items)

    def _section(self, section: Any) -> None:
        if section.topic.startswith(DEAD):
            self._dead_letters(section)
            return
        messages = [sent_of(payload) for payload in section.payloads]
        place = section.topic, section.epoch, section.first, messages
        if self.final is not None:
            self.final.append(events.FinalRead(*place))
            return
        self.client.write(events.Delivered(self.name, *place, section.attempt))
        if isinstance(self.feed, Work):
            self.held += section.messages()

    def _dead_letters(self, section: Any) -> None:
        for payload in section.payloads:
            letter = msgpack.unpackb(payload)
            self.client.write(events.Dead(section.topic.removeprefix(DEAD), letter["topic"], letter["offset"]))

    def _gap(self, gap: Gap) -> None:
        if self.final is not None:
            self.client.blame(f"the final read was told of {gap}")
        elif not gap.topic.startswith(DEAD):
            self.client.write(events.Missed(self.name, gap.topic, gap.epoch, gap.start, gap.end, gap.reason))

    # Of consumers.

    def settle(self, count: int) -> None:
        done, self.held = self.held[:count], self.held[count:]
        self.feed.ack(done)
        for message in done:
            self.client.write(events.Settled(self.name, message.topic, message.epoch, message.offset))

    def give_back(self, count: int, delay: float) -> None:
        back, self.held = self.held[:count], self.held[count:]
        for message in back:
            self.feed.nack(message, delay)


class Client:
    """What is on its way is lost when the link is cut: both ways, from some frame on."""

    def __init__(self, name: str, broker: Broker, now: Callable[[], float], blame: Callable[[str], None]) -> None:
        self.name, self.broker, self.now, self._blame = name, broker, now, blame
        self.session = Session(identity=(name, 1))
        self.events: list[Record] = []
        self.link: Link | None = None
        self.inbox: deque[bytes] = deque()  # written by the broker, and not read
        self.outbox: deque[tuple[float, bytes]] = deque()  # sent, when and what, and not arrived
        self.readers: list[Reader] = []
        self.known: list[tuple[str, int, int]] = []  # positions that it has receipts of
        self.waits = 0  # for so many answers
        self._number = self._names = 0
        self._watch: Watch | None = None

    def write(self, event: Event) -> None:
        self.events.append((self.now(), event))

    def blame(self, what: str) -> None:
        self._blame(f"{self.name}: {what}")

    # The link.

    def connect(self) -> None:
        self.link = self.broker.link()
        self._watch = Watch(self.broker, self.blame)
        self.write(events.Connected())
        self._send(self.session.opened())

    def cut(self) -> None:
        """The broker hears of it, where it lives."""
        if self.link is not None:
            self.link.session.leave()
            self.lose()

    def lose(self) -> None:
        """The connection is gone."""
        if self.link is not None:
            self.link = None
            self.inbox.clear()
            self.outbox.clear()
            self.session.closed()
            for reader in self.readers:
                reader.poll()

    def exchange(self, most: int = 1 << 30) -> bool:
        """Frames arrive, at most so many each way. Returns whether any did."""
        if self.link is None:
            return False
        if self.link.reading:
            self.inbox += self.link.take_frames()
        came = min(most, len(self.inbox))
        for _ in range(came):
            self._receive(self.inbox.popleft())
        for frame in self.session.frames(self.now()):
            self._send(frame)
        return self._arrive(most) or came > 0

    def _receive(self, frame: bytes) -> None:
        message = decode_from_broker(frame)
        if message is not None and self._watch is not None:
            self._watch.came(message)
        self.session.receive(frame)
        for reader in self.readers:
            reader.poll()

    def _send(self, frame: bytes) -> None:
        if self._watch is not None:
            self._watch.sent(decode_from_client(frame))
        self.outbox.append((self.now(), frame))

    def _arrive(self, most: int) -> bool:
        arrived = min(most, len(self.outbox))
        for _ in range(arrived):
            assert self.link is not None
            at, frame = self.outbox.popleft()
            if self.now() - at > DEADLINE:
                self.cut()
                return True
            try:
                self.link.send(frame)
            except Goodbye as goodbye:
                self.blame(f"was sent away: {goodbye}")
                self.cut()
                return True
        return arrived > 0

    # What it does.

    def publish(self, topic: str, filler: int) -> None:
        sent, payload = self._message(filler)
        self.write(events.Invoked(topic, sent))
        self.waits += 1
        self.session.publish(topic, payload, partial(self._told, sent))

    def publish_batch(self, topics: list[str], filler: int) -> None:
        messages = Runs()
        batch: list[Sent] = []
        for topic in topics:
            sent, payload = self._message(filler)
            self.write(events.Invoked(topic, sent))
            messages.add(topic, payload, 0, self.session.check)
            batch.append(sent)
        self.waits += 1
        whole: Whole = self.session.publish_whole(messages, lambda error: self._batch_told(whole, batch, error))

    def post(self, topic: str, filler: int) -> None:
        sent, payload = self._message(filler)
        self.write(events.Invoked(topic, sent, acked=False))
        self.session.post(topic, payload)

    def subscribe(self, pattern: str, start: Start | None, once: bool = False, record: bool = True) -> Reader:
        feed = self.session.subscribe(pattern, start=start, once=once)
        return self._reader(feed, pattern, _since(start, once) if record else None)

    def consume(self, pattern: str, group: str, max_unacked: int, attempts: int) -> Reader:
        work = self.session.consume(pattern, Terms(group, max_unacked, 10.0, attempts))
        return self._reader(work, pattern, "earliest", group)

    def share(self, pattern: str, group: str) -> Reader:
        return self._reader(self.session.share(pattern, group), pattern, "now", group, live=True)

    def unsubscribe(self, reader: Reader) -> None:
        reader.poll()
        self.readers.remove(reader)
        self.session.unsubscribe(reader.feed)

    def _reader(
        self, feed: Feed | Share, pattern: str, since: Any, group: str | None = None, live: bool = False
    ) -> Reader:
        self._names += 1
        reader = Reader(self, f"{self.name}/{self._names}", feed, pattern)
        if since is not None:
            self.write(events.Opened(reader.name, pattern, since, group, live))
        self.readers.append(reader)
        return reader

    def _message(self, filler: int) -> tuple[Sent, bytes]:
        self._number += 1
        return payload_of(self.name, self._number, filler)

    def _told(self, sent: Sent, outcome: Receipt | TickwireError) -> None:
        self.waits -= 1
        self._note(sent, outcome)

    def _batch_told(self, whole: Whole, batch: list[Sent], error: TickwireError | None) -> None:
        self.waits -= 1
        outcomes = whole.receipts if error is None else [error] * len(batch)
        for outcome, sent in zip(outcomes, batch, strict=True):
            self._note(sent, outcome)

    def _note(self, sent: Sent, outcome: Receipt | TickwireError) -> None:
        if isinstance(outcome, Receipt):
            self.write(events.Stored(outcome.topic, sent, outcome.epoch, outcome.offset))
            self.known.append((outcome.topic, outcome.epoch, outcome.offset))
        elif isinstance(outcome, Refused):
            self.write(events.Refused(sent, outcome.code))
        else:
            assert isinstance(outcome, OutcomeUnknown), outcome
            self.write(events.Unknown(sent, str(outcome)))


def _since(start: Start | None, once: bool) -> Any:
    if start is None:
        return "earliest" if once else "now"
    if start[0] == "offset":
        return [start[1], start[2]]
    return "earliest" if start[0] == "earliest" else "now"
