"""Broker and client sessions joined by a fake link, under random operations: order is kept and no hole is silent."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from house.link import House, Link
from tickwire.core.limits import Limits
from tickwire.wire.codes import EVICTED
from tickwire.wire.decode import decode_from_client
from tickwire.wire.messages import Hello, Subscribe
from tickwire.wire.topics import matches
from tickwire_client import Gap, Receipt, TickwireError
from tickwire_client.feed import Feed
from tickwire_client.messages import Section
from tickwire_client.session import Session

TOPICS = ["a.x", "a.y", "b.x", "b"]
PATTERNS = [*TOPICS, "a.*", "*.x", ">", "*"]
LIMITS = Limits(
    unsent_bytes=200, retain_bytes=4_000, retain_seconds=30.0, free_topic_after=40.0, retain_total_bytes=8_000
)
CLIENTS = st.integers(0, 2)


class Reader:
    """A feed, and what it must have been given: every offset from where it began, as a message or in a gap.

    A cut of its connection changes nothing about that. One that began with the earliest is owed all that was kept then,
    and a history what there was then, after which it ends.
    """

    def __init__(self, feed: Feed, house: House, start: str = "now") -> None:
        self.feed, self.house, self.start = feed, house, start
        self.ends: dict[str, int] = {}  # of the topics there were when the broker had it
        self.began: dict[str, int] | None = None  # topic -> the offset from which on it is owed messages
        self.next: dict[str, int] = {}
        self.answered = False  # by the broker, so that it counts as a subscription
        self.unknown = False  # was told of a gap of unknown size since
        self.payloads: dict[tuple[str, int], bytes] = {}
        feed.settled = self._settled

    def _settled(self, error: TickwireError | None) -> None:
        assert error is None
        self.answered = True

    def begins(self) -> None:
        """The broker has its subscription from here on."""
        topics = self.house.engine.topics.items()
        self.began = {name: topic.log.end if self.start == "now" else topic.log.oldest for name, topic in topics}
        self.ends = {name: topic.log.end for name, topic in topics}

    def read(self) -> None:
        for item in self.feed.take():
            if isinstance(item, Section):
                self._section(item)
            else:
                self._gap(item)

    def _section(self, section: Section) -> None:
        assert matches(self.feed.pattern, section.topic)
        expected = self.next.get(section.topic)
        if expected is None:
            self._begins(section.topic, section.first)
        if expected is None or self.unknown:
            expected = max(section.first, expected or 0)
        if section.first > expected and self.began is not None:
            # A gap may have begun before this subscription, for another one of its connection; it is owed none of that.
            expected = max(expected, min(section.first, self.began.get(section.topic, 0)))
        assert section.first == expected, f"{section.topic}: {section.first} came, {expected} was due"
        for offset, payload in enumerate(section.payloads, section.first):
            self.payloads[section.topic, offset] = payload
        self.next[section.topic] = section.first + len(section.payloads)

    def _gap(self, gap: Gap) -> None:
        if gap.start is None or gap.end is None:
            self.unknown = True
            return
        if gap.topic not in self.next:
            self._begins(gap.topic, gap.start)
        expected = self.next.get(gap.topic, gap.start)
        assert gap.start == expected < gap.end, f"{gap} came, {expected} was due"
        topic = self.house.engine.topics.get(gap.topic)
        if gap.reason == EVICTED and topic is not None:
            assert gap.end <= topic.log.start, f"{gap} came, but the log still has it"
        self.next[gap.topic] = gap.end

    def _begins(self, name: str, start: int) -> None:
        """The first that it hears of a topic is no later than what it is owed."""
        topic = self.house.engine.topics.get(name)
        if self.began is not None and topic is not None and not self.unknown:
            owed = max(topic.first, self.began.get(name, 0))
            assert start <= owed, f"{name}: it began at {start}, and {owed} was owed"

    def check_complete(self) -> None:
        """Called when everything has been delivered."""
        assert self.began is not None
        if self.start == "history":
            self._check_history()
            return
        assert self.feed.live
        if self.unknown:
            return
        for name, topic in self.house.engine.topics.items():
            # A topic that was freed and came back starts where all that were freed had ended.
            if matches(self.feed.pattern, name) and topic.end > max(topic.first, self.began.get(name, 0)):
                assert self.next.get(name) == topic.end, f"{name}: got up to {self.next.get(name)} of {topic.end}"

    def _check_history(self) -> None:
        assert self.feed.ended
        if self.unknown:
            return
        for name, end in self.ends.items():
            topic = self.house.engine.topics.get(name)
            kept = topic is not None and topic.log.oldest < end
            if kept and matches(self.feed.pattern, name) and end > (self.began or {}).get(name, 0):
                assert self.next.get(name, 0) >= end, f"{name}: the history ended at {self.next.get(name)} of {end}"


class Client:
    """A client session and its link, when it has one. What is in flight is lost when the link is cut."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.session = Session(identity=(name, 1))
        self.link: Link | None = None
        self.inbox: deque[bytes] = deque()  # read off the link, not yet handled
        self.readers: list[Reader] = []

    def connect(self) -> None:
        self.link = self.house.link(greet=False)
        self.send(self.session.opened())

    def cut(self) -> None:
        assert self.link is not None
        self.link.session.leave()
        for reader in self.readers:
            if not reader.answered:
                reader.began = None  # to the application, it has not begun yet
        self.link = None
        self.inbox.clear()
        self.session.closed()

    def send(self, frame: bytes) -> None:
        """A reader is owed what comes from the moment that the broker has its subscription."""
        assert self.link is not None
        message = decode_from_client(frame)
        asked = message.subscriptions if isinstance(message, Hello) else [message]
        ids = {subscribe.id for subscribe in asked if isinstance(subscribe, Subscribe)}
        for reader in self.readers:
            if reader.began is None and reader.feed.id in ids:
                reader.begins()
        self.link.send(frame)

    def exchange(self, most: int) -> None:
        """Handle some of what the broker wrote, and send what the session wants to."""
        assert self.link is not None
        if self.link.reading:
            self.inbox += self.link.take_frames()
        for _ in range(min(most, len(self.inbox))):
            self.session.receive(self.inbox.popleft())
        for frame in self.session.frames(self.house.clock.now):
            self.send(frame)


class Together(RuleBasedStateMachine):
    @initialize(patterns=st.lists(st.sampled_from(PATTERNS), min_size=3, max_size=3))
    def build(self, patterns: list[str]) -> None:
        self.house = House(LIMITS)
        self.truth = self.house.store.messages
        self.clients = [Client(self.house, f"client {number}") for number in range(3)]
        self.receipts: list[tuple[Receipt, bytes]] = []
        self.published = 0
        for client, pattern in zip(self.clients, patterns, strict=True):
            client.readers.append(Reader(client.session.subscribe(pattern), self.house))
            client.connect()

    def flush(self) -> None:
        self.house.flush()

    @rule(client=CLIENTS, topic=st.sampled_from(TOPICS), size=st.integers(0, 300), count=st.integers(1, 4))
    def publish(self, client: int, topic: str, size: int, count: int) -> None:
        for _ in range(count):
            self.published += 1
            payload = b"%d:%d:" % (client, self.published) + bytes(size)
            self.clients[client].session.publish(topic, payload, lambda outcome, p=payload: self._done(outcome, p))  # type: ignore[misc]

    def _done(self, outcome: Receipt | TickwireError, payload: bytes) -> None:
        if isinstance(outcome, Receipt):
            self.receipts.append((outcome, payload))

    @rule(client=CLIENTS, topic=st.sampled_from(TOPICS), size=st.integers(0, 300), count=st.integers(1, 12))
    def a_burst(self, client: int, topic: str, size: int, count: int) -> None:
        """One flush a message, the others reading meanwhile or not."""
        for _ in range(count):
            self.post(client, topic, size)
            for its in self.clients:
                if its.link is not None:
                    its.exchange(1 << 30)
            self.flush()

    @rule(client=CLIENTS, topic=st.sampled_from(TOPICS), size=st.integers(0, 300))
    def post(self, client: int, topic: str, size: int) -> None:
        self.published += 1
        self.clients[client].session.post(topic, b"%d:%d:" % (client, self.published) + bytes(size))

    @rule(client=CLIENTS, pattern=st.sampled_from(PATTERNS), start=st.sampled_from(["now", "earliest", "history"]))
    def subscribe(self, client: int, pattern: str, start: str) -> None:
        its = self.clients[client]
        if len(its.readers) < 3:
            since = None if start == "now" else ("earliest",)
            feed = its.session.subscribe(pattern, start=since, once=start == "history")
            its.readers.append(Reader(feed, self.house, start))

    @rule(client=CLIENTS)
    def unsubscribe(self, client: int) -> None:
        its = self.clients[client]
        if its.readers:
            reader = its.readers.pop(0)
            reader.read()
            its.session.unsubscribe(reader.feed)
            assert reader.feed.take() == []

    @rule(client=CLIENTS)
    def connect(self, client: int) -> None:
        if self.clients[client].link is None:
            self.clients[client].connect()

    @rule(client=CLIENTS)
    def cut(self, client: int) -> None:
        if self.clients[client].link is not None:
            self.clients[client].cut()

    @precondition(lambda self: any(client.link for client in self.clients))
    @rule(client=CLIENTS, most=st.integers(0, 20))
    def exchange(self, client: int, most: int) -> None:
        if self.clients[client].link is not None:
            self.clients[client].exchange(most)

    @rule(client=CLIENTS, reading=st.booleans())
    def stop_or_go_on_reading(self, client: int, reading: bool) -> None:
        link = self.clients[client].link
        if link is not None:
            link.reading = reading

    @rule()
    def flush_now(self) -> None:
        self.flush()

    @rule()
    def sweep(self) -> None:
        self.house.engine.sweep()

    @rule(seconds=st.sampled_from([1.0, 20.0, 50.0]))
    def time_passes(self, seconds: float) -> None:
        self.flush()
        self.house.wait(seconds)

    @rule()
    def everything_arrives(self) -> None:
        """Everyone connects and reads until nothing is on its way: then nobody may lack anything."""
        for client in self.clients:
            if client.link is None:
                client.connect()
            assert client.link is not None
            client.link.reading = True
        for _ in range(6):
            for client in self.clients:
                client.exchange(1 << 30)
            self.flush()
            self.house.engine.sweep()
        assert not self.house.engine.catch_up.behind
        assert not self.house.engine.catch_up.trailing
        for client in self.clients:
            for reader in client.readers:
                reader.read()
                reader.check_complete()

    @invariant()
    def what_was_read_is_what_was_published(self) -> None:
        for client in getattr(self, "clients", []):
            for reader in client.readers:
                reader.read()
                for position, payload in reader.payloads.items():
                    assert self.truth.get(position, payload) == payload
                reader.payloads.clear()

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        self.everything_arrives()
        for receipt, payload in self.receipts:
            assert self.truth[receipt.topic, receipt.offset] == payload, "a receipt names another message"
        self._check_publishers_order()
        acknowledged = {payload for _, payload in self.receipts}
        assert len(acknowledged) == len(self.receipts)
        stored = [payload for payload in self.truth.values() if payload in acknowledged]
        assert len(stored) == len(acknowledged), "what was sent again was stored again"

    def _check_publishers_order(self) -> None:
        last: dict[tuple[str, bytes], int] = {}
        for (topic, _), payload in sorted(self.truth.items()):
            publisher, number, _ = payload.split(b":", 2)
            assert last.get((topic, publisher), 0) < int(number), "a publisher's order was not kept"
            last[topic, publisher] = int(number)


TestTogether = Together.TestCase
TestTogether.settings = settings(max_examples=300, stateful_step_count=80, deadline=None)
