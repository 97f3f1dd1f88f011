"""Subscriptions with every start, over connections that go at any frame: each position once, no hole silent."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from house.link import House, Link
from tickwire.core.limits import Limits
from tickwire.wire.decode import decode_from_client
from tickwire.wire.messages import Hello, Publish, Run, Subscribe
from tickwire.wire.topics import matches
from tickwire_client.errors import TickwireError
from tickwire_client.feed import Feed
from tickwire_client.messages import Section
from tickwire_client.session import Session

TOPICS = ["a.x", "a.y", "b.x"]
PATTERNS = ["a.x", "b.x", "a.*", "*.x", ">"]
STARTS = ["now", "earliest", "last", "time", "offset"]
LIMITS = Limits(retain_bytes=1_500, retain_seconds=30.0, free_topic_after=40.0, unsent_bytes=4_000)


class Reader:
    """A feed, and what it has been given of each topic."""

    def __init__(self, house: House, feed: Feed, start: str) -> None:
        self.house, self.feed, self.start = house, feed, start
        self.kept: dict[str, tuple[int, int]] = {}  # what there was when it was asked for
        self.answered = False
        self.next: dict[str, int] = {}
        self.began: dict[str, int] = {}
        self.unknown = False  # it was told of a gap of unknown size
        feed.settled = self._settled

    def _settled(self, error: TickwireError | None) -> None:
        assert error is None
        self.answered = True

    def asked(self) -> None:
        """The broker takes the request. Until it is answered that is the first, whatever came before."""
        if not self.answered:
            topics = self.house.engine.topics
            self.kept = {name: (topic.log.oldest, topic.log.end) for name, topic in topics.items()}

    def read(self) -> None:
        for item in self.feed.take():
            if isinstance(item, Section):
                self._got(item.topic, item.first, item.first + len(item))
            elif item.start is None or item.end is None:
                self.unknown = True
            else:
                self._got(item.topic, item.start, item.end)

    def _got(self, topic: str, start: int, end: int) -> None:
        assert matches(self.feed.pattern, topic)
        assert start < end
        expected = self.next.get(topic)
        assert expected is None or start == expected or (self.unknown and start > expected), (topic, start, expected)
        self.began.setdefault(topic, start)
        self.next[topic] = end

    def check_complete(self) -> None:
        assert self.feed.ended or self.feed.live
        if self.unknown:
            return
        for name, topic in self.house.engine.topics.items():
            if matches(self.feed.pattern, name):
                oldest, end = self.kept.get(name, (topic.first, topic.first))
                start = oldest if self.start == "earliest" else end - 1
                if oldest < end and self.start in ("earliest", "last"):
                    # What was there before, and went before it could be sent, was never handed out nor promised.
                    self._check(name, max(start, min(topic.log.oldest, end)), end)
                if topic.log.end > max(topic.first, end) and not self.feed.ended:
                    self._check(name, max(topic.first, end), topic.log.end)

    def _check(self, name: str, start: int, end: int) -> None:
        if start == end:
            return
        began, next = self.began.get(name), self.next.get(name)
        assert began is not None, f"{name}: got nothing of {start} to {end}"
        assert next is not None
        assert began <= start, f"{name}: began at {began}, and {start} was owed"
        assert next >= end, f"{name}: came to {next}, and {end} was owed"


class Resuming(RuleBasedStateMachine):
    @initialize()
    def build(self) -> None:
        self.house = House(LIMITS)
        self.publisher = self.house.link()
        self.session = Session()
        self.link: Link | None = None
        self.inbox: deque[bytes] = deque()
        self.readers: list[Reader] = []
        self.published = 0
        self.connect()

    @rule(topic=st.sampled_from(TOPICS), count=st.integers(1, 5), size=st.integers(0, 200))
    def publish(self, topic: str, count: int, size: int) -> None:
        for _ in range(count):
            self.published += 1
            self.publisher.send(Publish(None, [Run(topic, [b"%d" % self.published + bytes(size)])]))
            self.house.flush()

    @rule(pattern=st.sampled_from(PATTERNS), start=st.sampled_from(STARTS), once=st.booleans())
    def subscribe(self, pattern: str, start: str, once: bool) -> None:
        if len(self.readers) >= 4 or (start == "offset" and pattern not in TOPICS):
            return
        asked: tuple[str | int, ...] | None = None if start == "now" else (start,)
        if start == "time":
            asked = "time", int((self.house.clock.now - 5) * 1e6)
        elif start == "offset":
            topic = self.house.engine.topics.get(pattern)
            asked = "offset", self.house.engine.epoch, 0 if topic is None else max(topic.first, topic.log.end - 3)
        feed = self.session.subscribe(pattern, start=asked, once=once and start != "now")
        self.readers.append(Reader(self.house, feed, start))

    @rule()
    def unsubscribe(self) -> None:
        if self.readers:
            self.session.unsubscribe(self.readers.pop(0).feed)

    @rule()
    def connect(self) -> None:
        if self.link is None:
            self.link = self.house.link(greet=False)
            self._send(self.session.opened())

    @rule()
    def cut(self) -> None:
        """What is on its way is lost."""
        if self.link is not None:
            self.link.session.leave()
            self.link = None
            self.inbox.clear()
            self.session.closed()

    @rule(most=st.integers(0, 6))
    def exchange(self, most: int) -> None:
        if self.link is None:
            return
        self.inbox += self.link.take_frames()
        for _ in range(min(most, len(self.inbox))):
            self.session.receive(self.inbox.popleft())
        for frame in self.session.frames():
            self._send(frame)
        for reader in self.readers:
            reader.read()

    def _send(self, frame: bytes) -> None:
        assert self.link is not None
        message = decode_from_client(frame)
        requests = message.subscriptions if isinstance(message, Hello) else [message]
        ids = {request.id for request in requests if isinstance(request, Subscribe)}
        for reader in self.readers:
            if reader.feed.id in ids:
                reader.asked()
        self.link.send(frame)

    @rule()
    def flush(self) -> None:
        self.house.flush()

    @rule(seconds=st.sampled_from([1.0, 10.0, 50.0]))
    def time_passes(self, seconds: float) -> None:
        self.house.wait(seconds)

    @rule()
    def everything_arrives(self) -> None:
        self.connect()
        for _ in range(8):
            self.exchange(1 << 30)
            self.house.flush()
        self.exchange(1 << 30)
        for reader in self.readers:
            reader.check_complete()

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.everything_arrives()


TestResuming = Resuming.TestCase
TestResuming.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
