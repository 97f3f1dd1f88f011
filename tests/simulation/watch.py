"""One connection seen from outside: whether the frames alone keep the contract, whatever the client makes of them.

The SDK notices a jump in the offsets by itself, and drops what it had. So a broker that skips or repeats would pass for
a good one there; here it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tickwire.wire.messages import (
    Consume,
    Delivery,
    End,
    FromBroker,
    FromClient,
    Gap,
    Hello,
    Join,
    Mark,
    Refusal,
    Section,
    Subscribe,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from tickwire.wire.topics import matcher

from .truth import Truth

LIVE = 0


@dataclass(slots=True)
class Path:
    """One subscription on this connection. `next` is what must come next of each topic that it stands in."""

    asked: Subscribe
    low: int = -1  # what has no newer stamp is not owed, unless `next` says so
    loose: bool = False  # where it starts in a topic that it does not stand in is the broker's to say
    vague: bool = False  # a notice said that something is missing, and not what
    freed: bool = False  # a notice said that topics were forgotten: they may come back anywhere above
    from_start: bool = False
    live: bool = False
    stamp: int = 0  # of its SUBSCRIBED
    next: dict[str, int] = field(default_factory=dict)

    def matches(self, topic: str) -> bool:
        return matcher(self.asked.pattern).fullmatch(topic) is not None


class Sight(Protocol):
    """What is known of the broker from the inside."""

    truth: Truth

    def oldest(self, topic: str) -> int | None:
        """What it can still read of a topic; None where it has none."""

    def has_dropped(self, topic: str) -> bool:
        """Whether it keeps less of a topic than there was."""


class Watch:
    """Blames what comes over one connection."""

    def __init__(self, sight: Sight, blame: Callable[[str], None]) -> None:
        self._truth, self._sight, self._blame = sight.truth, sight, blame
        self._epoch: int | None = None
        self._asked: dict[int, Subscribe] = {}
        self._paths: dict[int, Path] = {}
        self._streams: dict[int, Path] = {}

    def sent(self, message: FromClient) -> None:
        """The client has sent this."""
        for each in message.subscriptions if isinstance(message, Hello) else [message]:
            if isinstance(each, Subscribe) and each.group is None:
                self._asked[each.id] = each
            elif isinstance(each, Consume):
                self._asked.pop(each.id, None)

    def came(self, message: FromBroker) -> None:
        """The broker has sent this, and it has arrived."""
        match message:
            case Welcome():
                self._epoch = message.epoch
            case Subscribed():
                self._subscribed(message)
            case Delivery():
                for section in message.sections:
                    self._section(message.stream, section)
            case Gap():
                self._gap(message)
            case Join():
                self._joined(message)
            case Mark():
                for path in self._paths.values():
                    if path.live:
                        self._complete(path, message.stamp, f"MARK {message.stamp}")
            case End():
                path = self._forget(message.id)
                if path is not None:
                    self._complete(path, path.stamp, "END", beyond=True)
            case Unsubscribed():
                self._forget(message.id)
            case Refusal() if message.refused == Subscribe.kind and message.id is not None:
                self._asked.pop(message.id, None)

    # How it begins.

    def _subscribed(self, reply: Subscribed) -> None:
        asked = self._asked.pop(reply.id, None)
        if asked is None:
            return
        path = self._paths[reply.id] = Path(asked, stamp=reply.stamp)
        self._place(path)
        if reply.stream == LIVE:
            if path.low >= 0 or path.from_start:
                self._complete(path, reply.stamp, "SUBSCRIBED")
            self._come_level(path, reply.stamp)
            if reply.offset is not None:  # nothing is missing, so what comes next is what the broker says
                path.next[asked.pattern] = max(reply.offset, path.next.get(asked.pattern, 0))
        else:
            self._streams[reply.stream] = path

    def _place(self, path: Path) -> None:
        asked = path.asked
        same = asked.seen is not None and asked.seen[0] == self._epoch
        if same:
            path.next = dict(asked.positions or ())
        if asked.since is not None:
            path.from_start = asked.since[0] == "earliest"
            path.loose = asked.since[0] in ("last", "time")
            if asked.since[0] == "offset":
                path.from_start = asked.since[1] != self._epoch
                if not path.from_start:
                    path.next.setdefault(asked.pattern, int(asked.since[2]))
        elif asked.seen is not None:
            path.from_start = not same
            path.low = asked.seen[1] if same else -1
        else:
            path.from_start, path.loose = bool(asked.once), not asked.once

    def _come_level(self, path: Path, stamp: int) -> None:
        path.live, path.loose, path.from_start, path.vague = True, False, False, False
        path.low = stamp

    def _forget(self, id: int) -> Path | None:
        path = self._paths.pop(id, None)
        self._streams = {stream: its for stream, its in self._streams.items() if its is not path}
        return path

    # What comes.

    def _section(self, stream: int, section: Section) -> None:
        for path in self._on(stream, section.topic):
            if not (path.live and section.stamp <= path.low):
                self._take(path, section)

    def _take(self, path: Path, section: Section) -> None:
        topic, first, end = section.topic, section.first, section.first + len(section.payloads)
        expected = self._expected(path, topic, first)
        if topic not in path.next and expected is not None and first < expected and self._sight.has_dropped(topic):
            expected = first  # rather too much than too little, where it cannot tell what was dropped
        if expected is not None and first > expected:
            self._blame(f"{self._name(path)} got {topic} {first} where {expected} had to come, and no gap was said")
        elif expected is not None and first < expected:
            self._blame(f"{self._name(path)} got {topic} {first} again: {expected} had to come")
        path.next[topic] = end

    def _gap(self, gap: Gap) -> None:
        for path in self._on(gap.stream, gap.topic):
            if gap.end is None or gap.start is None:
                path.vague = True
                path.freed = path.freed or gap.reason == "freed"
            if gap.end is None or (gap.start is None and gap.topic not in path.next):
                continue
            expected = self._expected(path, gap.topic, gap.start)
            if expected is None or gap.end > expected:
                if expected is not None and gap.start is not None and gap.start > expected:
                    self._blame(f"{self._name(path)} got {gap}, and {expected} had to come")
                self._is_gone(path, gap)
                path.next[gap.topic] = gap.end
            elif not path.live and gap.topic in path.next:
                self._blame(f"{self._name(path)} got {gap}, and had all that")

    def _is_gone(self, path: Path, gap: Gap) -> None:
        oldest = self._sight.oldest(gap.topic)
        if gap.reason != "corrupt" and gap.end is not None and oldest is not None and oldest < gap.end:
            self._blame(f"{self._name(path)} got {gap}, and the broker has it from {oldest} on")

    def _expected(self, path: Path, topic: str, came: int | None) -> int | None:
        """What must come next of a topic, where that came; None where that cannot be said."""
        if topic in path.next:
            came_back = path.freed and came is not None and (topic, came) in self._truth.begun
            return came if came_back and came is not None and came > path.next[topic] else path.next[topic]
        if path.loose or path.vague:
            return None
        first = self._truth.first_after(topic, path.low)
        if first is not None and path.from_start:
            oldest = self._sight.oldest(topic)
            return None if oldest is None or oldest > first else first
        return first

    def _joined(self, join: Join) -> None:
        path = self._paths[join.id]
        self._complete(path, join.stamp, f"JOIN {join.stamp}")
        self._streams = {stream: its for stream, its in self._streams.items() if its is not path}
        self._come_level(path, join.stamp)

    def _complete(self, path: Path, stamp: int, when: str, beyond: bool = False) -> None:
        """At this point it has had everything up to that stamp."""
        for topic in self._truth.topics:
            if path.matches(topic):
                end = self._truth.end_at(topic, stamp)
                next = path.next.get(topic)
                if end is None or (next is None and not self._owes(path, topic, stamp, end)):
                    continue
                oldest = self._sight.oldest(topic)
                if path.freed and (oldest is None or oldest >= end):
                    continue
                if next is not None and next < end == self._truth.end_at(topic, path.low):
                    path.next[topic] = end  # a position below what it had seen says nothing
                    continue
                later = None if beyond else self._truth.first_after(topic, stamp)
                if next is None or next < end or (later is not None and next > later):
                    self._blame(f"{self._name(path)}: {when} came at {topic} {next}, and {end} was the end then")

    def _owes(self, path: Path, topic: str, stamp: int, end: int) -> bool:
        """Whether anything of a topic that it has got nothing of was owed."""
        if path.vague or path.loose:
            return False
        if path.from_start:
            oldest = self._sight.oldest(topic)
            return oldest is not None and oldest < end
        first = self._truth.first_after(topic, path.low)
        return first is not None and first < end

    def _on(self, stream: int, topic: str) -> list[Path]:
        if stream != LIVE:
            path = self._streams.get(stream)
            return [] if path is None else [path]
        return [path for path in self._paths.values() if path.live and path.matches(topic)]

    def _name(self, path: Path) -> str:
        return f"subscription {path.asked.id} to {path.asked.pattern}"
