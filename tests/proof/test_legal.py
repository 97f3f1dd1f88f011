"""Whatever may legally happen passes: histories made by a broker of thirty lines, which keeps the contract."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from .checker import check
from .events import (
    Complete,
    Connected,
    Delivered,
    Event,
    FinalRead,
    Invoked,
    Killed,
    Missed,
    Opened,
    Record,
    Refused,
    Sent,
    Settled,
    Started,
    Stored,
    Unknown,
    payload_of,
)

EPOCH, FLOOR = 5, 40
TOPICS = ("a.one", "a.two", "b")
STEPS = ("publish", "read", "skip", "reconnect", "resume", "hand", "settle", "let go", "kill")


@dataclass
class Legal:
    """A broker and its clients, in one history."""

    random: Random
    now: float = 0.0
    files: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    logs: dict[str, list[Sent]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    readers: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)  # file -> name, next offsets
    attempts: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: {"m": [], "n": []})
    waiting: list[tuple[str, int]] = field(default_factory=list)

    def write(self, file: str, *events: Event) -> None:
        self.now += 1
        self.files[file] += [(self.now, event) for event in events]

    def begin(self) -> None:
        self.write("broker", Started())
        for reader, pattern in (("x", ">"), ("y", "a.*")):
            self.write(reader, Connected(), Opened(reader, pattern, "earliest"))
            self.readers[reader] = reader, {topic: FLOOR for topic in TOPICS if pattern == ">" or topic[0] == "a"}
        for member in self.holds:
            self.write(member, Connected(), Opened(member, ">", "earliest", "g"))

    def publish(self) -> None:
        publisher, topic = self.random.choice("pq"), self.random.choice(TOPICS)
        self.numbers[publisher] += 1
        sent = payload_of(publisher, self.numbers[publisher])[0]
        self.write(publisher, Invoked(topic, sent))
        outcome = self.random.choice(("stored", "refused", "unknown", "unknown and stored", "silence", "killed"))
        if outcome in ("stored", "unknown and stored", "killed"):
            self.waiting.append((topic, FLOOR + len(self.logs[topic])))
            self.logs[topic].append(sent)
        if outcome == "stored":
            self.write(publisher, Stored(topic, sent, EPOCH, FLOOR + len(self.logs[topic]) - 1))
        elif outcome == "refused":
            self.write(publisher, Refused(sent, "no_space"))
        elif outcome.startswith("unknown"):
            self.write(publisher, Unknown(sent))

    def some(self, reader: str, topic: str) -> tuple[int, list[Sent]]:
        next = self.readers[reader][1][topic]
        return next, self.logs[topic][next - FLOOR :][: self.random.randint(1, 4)]

    def read(self) -> None:
        file = self.random.choice(list(self.readers))
        name, next = self.readers[file]
        topic = self.random.choice(list(next))
        first, messages = self.some(file, topic)
        if messages:
            self.write(file, Delivered(name, topic, EPOCH, first, messages))
            next[topic] += len(messages)

    def skip(self) -> None:
        file = self.random.choice(list(self.readers))
        name, next = self.readers[file]
        topic = self.random.choice(list(next))
        first, messages = self.some(file, topic)
        if messages:
            self.write(file, Missed(name, topic, EPOCH, first, first + len(messages), "evicted"))
            next[topic] += len(messages)

    def reconnect(self) -> None:
        self.write(self.random.choice(list(self.readers)), Connected())

    def resume(self) -> None:
        """Another process goes on in one topic where a reader stands."""
        next = self.readers["x"][1]
        topic = self.random.choice(TOPICS)
        file = f"z{len(self.readers)}"
        self.readers[file] = file, {topic: next[topic]}
        self.write(file, Connected(), Opened(file, topic, [EPOCH, next[topic]]))

    def hand(self) -> None:
        member = self.random.choice(list(self.holds))
        if self.waiting:
            topic, offset = self.waiting.pop(self.random.randrange(len(self.waiting)))
            self.attempts[topic, offset] += 1
            message = self.logs[topic][offset - FLOOR]
            self.write(member, Delivered(member, topic, EPOCH, offset, [message], self.attempts[topic, offset]))
            self.holds[member].append((topic, offset))

    def settle(self) -> None:
        member = self.random.choice(list(self.holds))
        if self.holds[member]:
            self.write(member, Settled(member, self.holds[member][0][0], EPOCH, self.holds[member].pop(0)[1]))

    def let_go(self) -> None:
        self.give_back(self.random.choice(list(self.holds)))

    def give_back(self, member: str) -> None:
        self.waiting += self.holds[member]
        self.holds[member].clear()
        self.write(member, Connected())

    def kill(self) -> None:
        self.write("broker", Killed("at random"), Started())
        for member in self.holds:
            self.give_back(member)
        if self.random.random() < 0.5:
            self.attempts.clear()

    def end(self) -> None:
        while self.waiting:
            self.hand()
        while any(self.holds.values()):
            self.settle()
        for file, (name, next) in self.readers.items():
            for topic in next:
                while (step := self.some(file, topic))[1]:
                    self.write(file, Delivered(name, topic, EPOCH, *step))
                    next[topic] += len(step[1])
            self.write(file, Complete(name))
        for topic, log in self.logs.items():
            self.write("broker", FinalRead(topic, EPOCH, FLOOR, log))


HISTORIES = st.lists(st.sampled_from(STEPS), max_size=60), st.randoms(use_true_random=False)


def played(steps: list[str], random: Random) -> Legal:
    history = Legal(random)
    history.begin()
    for step in steps:
        getattr(history, step.replace(" ", "_"))()
    history.end()
    return history


@given(*HISTORIES)
def test_a_legal_history_passes(steps: list[str], random: Random) -> None:
    history = played(steps, random)

    assert check(history.files.values()).lines() == []


@given(*HISTORIES)
def test_a_delivery_that_never_came_is_always_found(steps: list[str], random: Random) -> None:
    history = played(["publish", "publish", *steps], random)
    had = [(f, record) for f in history.readers for record in history.files[f] if isinstance(record[1], Delivered)]
    assume(had)

    file, record = random.choice(had)
    history.files[file].remove(record)

    assert set(check(history.files.values()).broken) & {"consecutive", "resume"}


@given(*HISTORIES)
def test_a_message_that_is_not_held_at_the_end_is_always_found(steps: list[str], random: Random) -> None:
    history = played(["publish", *steps], random)
    finals = [event for _, event in history.files["broker"] if isinstance(event, FinalRead) and event.messages]
    assume(finals)

    final = random.choice(finals)
    final.messages.pop()

    assert set(check(history.files.values()).broken) & {"lost", "vanished"}
