"""One conversation with a client: takes its frames, checks them against the limits, and says what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickwire.fanout.catchup import LIVE
from tickwire.fanout.peer import Peer
from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.errors import PayloadTooLarge, Refused, TooManyMessages, WireError
from tickwire.wire.limits import HELLO_BYTES, MOVED_TOPICS, VERSION
from tickwire.wire.messages import (
    Beat,
    Bye,
    Hello,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from tickwire.wire.topics import check_pattern, check_topic, is_reserved

from .engine import Engine
from .errors import (
    AlreadyGreeted,
    FrameTooLarge,
    Goodbye,
    ReservedTopic,
    SubscriptionExists,
    TooManySubscriptions,
    UnknownSubscription,
)

# Topics looked at for the subscriptions of one frame that come back: about 5 ms. A client of a broker with more topics
# than this is told that there may be more.
MOVED_LOOKS = 16_384


class Session:
    """`receive` acts on a frame; what it answers leaves with the next flush. Raises Goodbye when it cannot go on."""

    __slots__ = ("_engine", "_looks", "client", "greeted", "peer")

    def __init__(self, engine: Engine, peer: Peer) -> None:
        self.peer = peer
        self.greeted = False
        self.client: str | None = None  # what it says it is
        self._engine = engine
        self._looks = 0

    def receive(self, frame: bytes, now: float) -> None:
        """Act on one frame. `now` is the broker's steady clock, in seconds."""
        self._engine.stats.frames_in += 1
        self._looks = MOVED_LOOKS
        limit = self._engine.limits.frame_bytes if self.greeted else HELLO_BYTES
        if len(frame) > limit:
            raise FrameTooLarge(len(frame), limit, self.greeted)
        try:
            message = decode_from_client(frame)
        except WireError as error:
            self._malformed(error)
            return
        if not self.greeted and type(message) is not Hello:
            raise Goodbye("hello_expected", "the first frame must be a HELLO")
        try:
            _ACTIONS[type(message)](self, message, now)
        except Refused as refused:
            self._refuse(message.kind, _id_of(message), refused)

    @property
    def must_wait(self) -> bool:
        """Whether to read no more of this peer until the next flush."""
        limits = self._engine.limits
        pending = self.peer.pending
        return pending > limits.pending_peer_bytes or (
            pending > 0 and self._engine.pending_bytes > limits.pending_bytes
        )

    @property
    def clogged(self) -> bool:
        """Whether so many replies wait for this peer that it must read before it may ask for more."""
        return self.peer.reply_bytes > self._engine.limits.reply_bytes

    def leave(self) -> None:
        """The connection is gone."""
        self._engine.leave(self.peer)

    def _malformed(self, error: WireError) -> None:
        if error.code == "bad_frame" or not self.greeted:
            code = "hello_expected" if error.code == "unknown_kind" else error.code
            raise Goodbye(code, error.text) from None
        self._refuse(error.kind, error.id, Refused(error.code, error.text))

    def _refuse(self, kind: int | None, id: int | None, refused: Refused) -> None:
        self._engine.stats.refusals += 1
        refusal = Refusal(kind or 0, id, refused.code, refused.text, refused.details or None)
        self._engine.reply(self.peer, encode(refusal))

    def _hello(self, hello: Hello, now: float) -> None:
        if self.greeted:
            raise AlreadyGreeted
        if VERSION not in hello.versions:
            raise Goodbye("version_unsupported", f"this broker speaks version {VERSION}, not {hello.versions[:8]}")
        engine = self._engine
        self.greeted, self.client = True, hello.client
        capabilities = {"ack": engine.store.acknowledges, "server": engine.server}
        welcome = Welcome(VERSION, engine.epoch, engine.stamp, engine.limits.for_welcome(), capabilities)
        engine.reply(self.peer, encode(welcome))
        for subscribe in hello.subscriptions:
            try:
                self._subscribe(subscribe, now)
            except Refused as refused:
                self._refuse(Subscribe.kind, subscribe.id, refused)

    def _subscribe(self, subscribe: Subscribe, now: float) -> None:
        check_pattern(subscribe.pattern)
        limit = self._engine.limits.subscriptions
        if subscribe.id in self.peer.subscriptions:
            raise SubscriptionExists(subscribe.id)
        if len(self.peer.subscriptions) >= limit:
            raise TooManySubscriptions(limit)
        offset = self._engine.readership.subscribe(self.peer, subscribe.id, subscribe.pattern, now)
        reply = Subscribed(subscribe.id, LIVE, self._engine.stamp, offset)
        if subscribe.seen is not None:
            self._say_what_moved(reply, subscribe.pattern, *subscribe.seen)
        self._engine.reply(self.peer, encode(reply))

    def _say_what_moved(self, reply: Subscribed, pattern: str, epoch: int, stamp: int) -> None:
        """What the client missed since it saw that stamp; in another epoch it has seen nothing of this one."""
        seen = stamp if epoch == self._engine.epoch else 0
        if reply.offset is not None:
            one = self._engine.topics.one_moved_since(pattern, seen)
            reply.moved = [one] if one else []
            return
        moved = self._engine.topics.moved_since(pattern, seen, min(MOVED_TOPICS, self._looks), self._looks)
        self._looks -= moved.looks
        reply.moved = moved.topics
        reply.more = True if moved.more or seen < self._engine.topics.freed_stamp else None

    def _unsubscribe(self, unsubscribe: Unsubscribe, now: float) -> None:
        if unsubscribe.id not in self.peer.subscriptions:
            raise UnknownSubscription(unsubscribe.id)
        self._engine.readership.unsubscribe(self.peer, unsubscribe.id)
        self._engine.reply(self.peer, encode(Unsubscribed(unsubscribe.id)))

    def _publish(self, publish: Publish, now: float) -> None:
        """Checked whole before any of it is appended. One run in a topic that is there is the way of most frames."""
        engine, peer, runs = self._engine, self.peer, publish.runs
        if len(runs) == 1 and (topic := engine.topics.get(runs[0].topic)) is not None and not topic.reserved:
            run = runs[0]
            offsets = [engine.append(peer, topic, run.payloads, self._size(run.payloads), run.format)]
        else:
            sizes = [self._checked(run) for run in runs]
            self._check_count(runs)
            topics = engine.topics.claim([run.topic for run in runs], now)
            each = zip(topics, runs, sizes, strict=True)
            offsets = [engine.append(peer, topic, run.payloads, size, run.format) for topic, run, size in each]
        if publish.id is not None:
            engine.acknowledge(peer, [publish.id, *offsets])

    def _checked(self, run: Run) -> int:
        """The size of a run, in bytes. A topic that exists has been checked when it was made."""
        if run.topic not in self._engine.topics:
            check_topic(run.topic)
        if is_reserved(run.topic):
            raise ReservedTopic(run.topic)
        return self._size(run.payloads)

    def _size(self, payloads: list[bytes]) -> int:
        """The bytes of payloads, none of which is over its limit, nor are there too many."""
        limits = self._engine.limits
        if len(payloads) == 1:
            size = largest = len(payloads[0])
        else:
            size = sum(map(len, payloads))
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

    def _beat(self, beat: Beat, now: float) -> None:
        """Having been received is all that it is for."""

    def _bye(self, bye: Bye, now: float) -> None:
        """The close follows."""


def _id_of(message: Any) -> int | None:
    id: int | None = getattr(message, "id", None)
    return id


_ACTIONS: dict[type[Any], Callable[[Session, Any, float], None]] = {
    Hello: Session._hello,
    Subscribe: Session._subscribe,
    Unsubscribe: Session._unsubscribe,
    Publish: Session._publish,
    Beat: Session._beat,
    Bye: Session._bye,
}
