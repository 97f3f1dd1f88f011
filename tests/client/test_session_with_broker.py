"""Client and broker session joined by a fake link, with a reader that is slow, goes away and comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from house.link import House, Link
from tickwire.core.limits import Limits
from tickwire.wire.messages import Publish, Run
from tickwire.wire.topics import matches
from tickwire_client.feed import Feed
from tickwire_client.messages import Gap, Section
from tickwire_client.session import Session

TOPICS = ("a.x", "a.y", "b.x")
PATTERNS = ("a.*", "a.x", ">")

steps = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(1, 5)),
    st.tuples(st.sampled_from(["flush", "read", "stop", "leave", "come", "wait"])),
    st.tuples(st.just("subscribe"), st.sampled_from(PATTERNS)),
    st.tuples(st.just("unsubscribe"), st.integers(0, 3)),
    st.tuples(st.just("lose"), st.integers(0, 4)),
)


class Reader:
    """A client, and for each subscription and topic what it had: every offset either as a message or in a gap."""

    def __init__(self, house: House) -> None:
        self.house, self.session = house, Session()
        self.link: Link | None = None
        self.feeds: dict[int, Feed] = {}
        self.next: dict[tuple[int, str], int] = {}
        self.heard: set[tuple[int, str]] = set()
        self.unconfirmed: list[Feed] = []

    def come(self, published: dict[str, list[bytes]]) -> None:
        if self.link is None:
            self.house.flush()
            self.link = self.house.link(greet=False)
            self.link.send(self.session.opened())
            self.begin(published)

    def subscribe(self, pattern: str, published: dict[str, list[bytes]]) -> None:
        feed = self.session.subscribe(pattern)
        self.feeds[feed.id] = feed
        self.unconfirmed.append(feed)
        if self.link is not None:
            self.house.flush()
            self.begin(published)

    def begin(self, published: dict[str, list[bytes]]) -> None:
        """Let new subscriptions be confirmed, knowing where each of their topics stands."""
        for feed in self.unconfirmed:
            for topic in TOPICS:
                if matches(feed.pattern, topic):
                    self.next[feed.id, topic] = len(published[topic])
        self.unconfirmed.clear()
        self.send()
        self.house.flush()
        self.read(published)

    def leave(self) -> None:
        if self.link is not None:
            self.link.session.leave()
            self.session.closed()
            self.link = None

    def send(self) -> None:
        for frame in self.session.frames():
            assert self.link is not None
            self.link.send(frame)

    def lose(self, frames: int, published: dict[str, list[bytes]]) -> None:
        """The connection goes while some frames are on their way; only the first of them arrive."""
        self.read(published, frames)
        self.leave()

    def read(self, published: dict[str, list[bytes]], frames: int | None = None) -> None:
        if self.link is None:
            return
        self.link.reading = True
        for frame in self.link.take_frames()[:frames]:
            self.session.receive(frame)
        self.send()
        for feed in self.feeds.values():
            for item in feed.take():
                self.check(feed, item, published)

    def check(self, feed: Feed, item: Section | Gap, published: dict[str, list[bytes]]) -> None:
        start = item.start if isinstance(item, Gap) else item.first
        end = item.end if isinstance(item, Gap) else item.first + len(item)
        assert start is not None
        assert end is not None
        assert start < end
        next = self.next[feed.id, item.topic]
        # A pattern's position in a topic it never heard of is not known: what was evicted before it began is said too.
        early = isinstance(item, Gap) and not feed.exact and (feed.id, item.topic) not in self.heard
        assert start == next or (early and start < next), "a hole nobody spoke of, or a repetition"
        self.heard.add((feed.id, item.topic))
        self.next[feed.id, item.topic] = end
        if isinstance(item, Section):
            assert item.payloads == published[item.topic][start:end]


@given(st.lists(steps, max_size=60))
def test_every_offset_comes_as_a_message_or_in_a_gap(plan: list[tuple[str, ...]]) -> None:
    house = House(Limits(retain_bytes=700, unsent_bytes=40))
    publisher, reader = house.link(), Reader(house)
    published: dict[str, list[bytes]] = {topic: [] for topic in TOPICS}
    reader.come(published)

    def publish(topic: str, count: int) -> None:
        payloads = [f"{topic} {len(published[topic]) + at}".encode() for at in range(count)]
        published[topic] += payloads
        publisher.send(Publish(None, [Run(topic, payloads)]))

    def unsubscribe(at: int) -> None:
        if at < len(reader.feeds):
            feed = reader.feeds.pop(list(reader.feeds)[at])
            reader.unconfirmed = [other for other in reader.unconfirmed if other is not feed]
            reader.session.unsubscribe(feed)
            if reader.link is not None:
                reader.send()

    for name, *arguments in plan:
        match name:
            case "publish":
                publish(*arguments)  # type: ignore[arg-type]
            case "subscribe":
                reader.subscribe(*arguments, published)
            case "unsubscribe":
                unsubscribe(*arguments)  # type: ignore[arg-type]
            case "flush":
                house.flush()
            case "wait":
                house.flush()
                house.wait(0.01)
            case "read":
                reader.read(published)
            case "stop" if reader.link is not None:
                reader.link.reading = False
            case "lose":
                reader.lose(*arguments, published)  # type: ignore[arg-type]
            case "leave":
                reader.leave()
            case "come":
                reader.come(published)

    # In the end everybody comes back and reads all there is: each topic to its end.
    reader.come(published)
    for _ in range(30):
        house.flush()
        house.wait(0.01)
        reader.read(published)
    for topic in TOPICS:
        publish(topic, 1)
    house.flush()
    reader.read(published)

    for (id, topic), next in reader.next.items():
        if id in reader.feeds:
            assert next == len(published[topic])
    for feed in reader.feeds.values():
        assert feed.live
