"""What one peer publishes: checked whole, appended to the pending runs of its topics, acknowledged when it is kept."""

from __future__ import annotations

from collections.abc import Sequence

from tickwire.fanout.peer import Peer
from tickwire.wire.encoded import Encoded
from tickwire.wire.errors import PayloadTooLarge, TooManyMessages
from tickwire.wire.limits import MSGPACK
from tickwire.wire.messages import Publish, Run
from tickwire.wire.plain import apart, head_of, payloads_behind
from tickwire.wire.topics import check_topic, is_reserved

from .engine import Engine
from .errors import Forbidden, IdentityRequired, ReservedTopic, StoreDown
from .holdings import Holding
from .identity import Publisher, Repeat, checksum_of
from .rights import Grant
from .topic import Topic


class Publishing:
    """Takes the PUBLISH frames of a session. `publisher` is who it said it is, if it did; `grant` what it may do,
    `holding` what its subject has, where that is counted."""

    __slots__ = ("_engine", "_peer", "grant", "holding", "messages", "publisher")

    def __init__(self, engine: Engine, peer: Peer) -> None:
        self._engine, self._peer = engine, peer
        self.grant: Grant | None = None
        self.holding: Holding | None = None
        self.messages = 0  # that the last `take_plain` took
        self.publisher: Publisher | None = None

    def take_plain(self, frames: list[bytes], start: int) -> int:
        """Take frames of one run that nobody waits for, in topics that have had such: many as one.

        Returns where the first stands that is to be decoded.
        """
        engine = self._engine
        heads, limits, count = engine.topics.heads_of(self.grant), engine.limits, len(frames)
        longest = min(limits.payload_bytes, limits.frame_bytes)  # in such a frame no payload is over its limit
        self.messages = 0
        while start < count and engine.refuses is None and engine.short is None:
            head = head_of(frames[start])
            topic = None if head is None else heads.get(head)
            if head is None or topic is None:
                break
            following = frames[start + 1] if start + 1 < count else head
            if not following.startswith(head) and (behind := self._take_apart(frames, start, longest, heads)) > start:
                self.messages += behind - start
                start = behind
                continue
            payloads, size, behind = payloads_behind(head, frames, start, longest, limits.frame_messages)
            if not payloads:
                break
            engine.append(self._peer, topic, payloads, size, MSGPACK)
            self.messages += len(payloads)
            start = behind
        return start

    def _take_apart(self, frames: list[bytes], start: int, longest: int, heads: dict[bytes, Topic]) -> int:
        """The same of single messages whose topics differ from frame to frame: each topic gets all of its at once."""
        topics, runs, sizes, behind = apart(frames, start, longest, heads)
        self._engine.append_each(self._peer, topics, runs, sizes)
        return behind

    def learn_plain(self, frame: bytes, publish: Publish) -> None:
        """From here on `take_plain` takes frames like this one, which was taken."""
        head = head_of(frame)
        if head is not None:
            topics = self._engine.topics
            topics.heads_of(self.grant)[head] = topics[publish.runs[0].topic]

    def publish(self, publish: Publish, now: float) -> None:
        """Append what came, or nothing of it. Raises Refused."""
        if self._engine.short is not None and publish.runs:
            raise self._engine.short
        if publish.sequence is None:
            offsets, repeat = self._append(publish.runs, now)[0], None
        else:
            offsets, repeat = self._publish_once(publish, publish.sequence, now)
        if publish.id is not None:
            self._engine.acknowledge(self._peer, [publish.id, *offsets], repeat)

    def _publish_once(self, publish: Publish, sequence: int, now: float) -> tuple[list[int], Repeat | None]:
        """Append a frame unless it came before, over whichever connection; then its offsets are those of the first."""
        if self.publisher is None:
            raise IdentityRequired
        identities, checksum = self._engine.identities, checksum_of(publish.runs)
        found = identities.find(self.publisher, sequence, checksum, bool(publish.retry), now)
        if found is not None:
            self._engine.stats.repeats += 1
            return found, (self.publisher, sequence)
        offsets, topics = self._append(publish.runs, now)
        durable = topics[0].durable if len(topics) == 1 else any(topic.durable for topic in topics)
        identities.add(self.publisher, sequence, checksum, offsets, now, durable)
        return offsets, None

    def _append(self, runs: list[Run], now: float) -> tuple[list[int], list[Topic]]:
        """Checked whole before any of it is appended. One run in a topic that is there is the way of most frames."""
        engine, peer = self._engine, self._peer
        if self.grant is not None:
            for run in runs:
                if not self.grant.allows(run.topic):
                    raise Forbidden("publish to", run.topic)
        if len(runs) == 1 and (topic := engine.topics.get(runs[0].topic)) is not None and not topic.reserved:
            run = runs[0]
            size = self._size(run.payloads)
            if engine.refuses is not None:
                self._check_store([topic])
            return [engine.append(peer, topic, run.payloads, size, run.format)], [topic]
        sizes = [self._checked(run) for run in runs]
        self._check_count(runs)
        topics = engine.topics.claim([run.topic for run in runs], now, self.holding)
        self._check_store(topics)
        each = zip(topics, runs, sizes, strict=True)
        return [engine.append(peer, topic, run.payloads, size, run.format) for topic, run, size in each], topics

    def _check_store(self, topics: list[Topic]) -> None:
        """Raise where the store takes nothing now, and one of the topics is on disk.

        After it failed, raise for all topics: a commit of which nobody knows may come back with the next life, and then
        no reader may have seen a later stamp.
        """
        refuses = self._engine.refuses
        if refuses is not None and (isinstance(refuses, StoreDown) or any(topic.durable for topic in topics)):
            raise refuses

    def _checked(self, run: Run) -> int:
        """The size of a run, in bytes. A topic that exists has been checked when it was made."""
        if run.topic not in self._engine.topics:
            check_topic(run.topic)
        if is_reserved(run.topic):
            raise ReservedTopic(run.topic)
        return self._size(run.payloads)

    def _size(self, payloads: Sequence[bytes]) -> int:
        """The bytes of payloads, none of which is over its limit, nor are there too many."""
        limits = self._engine.limits
        if type(payloads) is not Encoded and len(payloads) == 1:
            size = largest = len(payloads[0])
        else:
            size = payloads.size if type(payloads) is Encoded else sum(map(len, payloads))
            largest = max(map(len, payloads)) if size > limits.payload_bytes else 0
        if largest > limits.payload_bytes:
            raise PayloadTooLarge(largest, limits.payload_bytes)
        if len(payloads) > limits.frame_messages:
            raise TooManyMessages(len(payloads), limits.frame_messages)
        return size

    def _check_count(self, runs: list[Run]) -> None:
        count = sum([len(run.payloads) for run in runs])
        if count > self._engine.limits.frame_messages:
            raise TooManyMessages(count, self._engine.limits.frame_messages)
