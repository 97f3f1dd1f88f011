"""One conversation with a client: takes its frames, checks them against the limits, and says what follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tickwire.fanout.catchup import LIVE
from tickwire.fanout.peer import Restricted
from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.errors import Refused, WireError
from tickwire.wire.in_place import publish_in_place
from tickwire.wire.limits import HELLO_BYTES
from tickwire.wire.messages import (
    Beat,
    Bye,
    Consume,
    Consumed,
    Extended,
    Groups,
    Hello,
    List,
    Publish,
    Refresh,
    Returned,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Window,
)
from tickwire.wire.topics import check_pattern, is_exact

from .admission import Admission
from .errors import (
    FrameTooLarge,
    Goodbye,
    OffsetOfPattern,
    SubscriptionExists,
    TooManySubscriptions,
    UnknownConsumer,
    UnknownSubscription,
)
from .groups.errors import GroupConflict
from .trails import Trail

_EARLIEST = ("earliest",)
_TOGETHER_BYTES = 1_024  # of a frame, from which it is worth a look whether its payloads can be left as they stand
_LOOK_EVERY = 8  # short frames, at the clock
_SUBSCRIBES = (Subscribe, Consume)
# While a commit is under way nothing is sealed, for several turns of the loop. A publisher with eight batches of 100 KB
# in flight that was held to one turn's share had three of them in a commit.
_TURNS_OF_A_COMMIT = 4
PARTS = 256  # subscriptions of which only a part may be read
POSITIONS = 200_000  # that the subscriptions of a connection which catch up have said, all together


class Session(Admission):
    """`receive` acts on a frame; what it answers leaves with the next flush. Raises Goodbye when it cannot go on."""

    __slots__ = ()

    def receive_all(
        self,
        frames: list[bytes],
        now: float,
        most: int,
        clock: Callable[[], float] = lambda: 0.0,
        ends: float = math.inf,
    ) -> tuple[int, int]:
        """Act on frames that came together, until the peer must wait, `most` had to be decoded, or that time has come.

        Returns how many were acted on, and how many decoded.
        """
        at, decoded, count = 0, 0, len(frames)
        if count == 1 and len(frames[0]) < _TOGETHER_BYTES:  # nothing to be taken together
            self.receive(frames[0], now)
            return 1, 1
        while at < count and decoded < most:
            if self.greeted and not self.superseded:
                if self._counts:
                    plain = self._take_counted(frames[at:] if at else frames, now)
                else:
                    plain = self._publishing.take_plain(frames, at) - at
                self._engine.stats.frames_in += plain
                at += plain
                if at == count:
                    break
            frame = frames[at]
            self.receive(frame, now)
            at, decoded = at + 1, decoded + 1
            if self.must_wait or self.clogged:
                break
            if (len(frame) >= _TOGETHER_BYTES or not decoded % _LOOK_EVERY) and clock() >= ends:
                break
        return at, decoded

    def receive(self, frame: bytes, now: float) -> None:
        """Act on one frame. `now` is the broker's steady clock, in seconds."""
        self._engine.stats.frames_in += 1
        limit = self._engine.limits.frame_bytes if self.greeted else HELLO_BYTES
        if len(frame) > limit:
            raise FrameTooLarge(len(frame), limit, self.greeted)
        try:
            message = publish_in_place(frame) or decode_from_client(frame)
        except WireError as error:
            if not self._counts or self._affords_other(error.kind, error.id, frame, now):
                self._malformed(error)
            return
        if self.superseded:
            raise Goodbye("taken_over", "this publisher has come back over another connection")
        if not self.greeted and type(message) is not Hello:
            raise Goodbye("hello_expected", "the first frame must be a HELLO")
        if type(message) is Publish:
            if self._counts and not self._affords(message, frame, now):
                return
        else:
            if self._counts and not self._affords_other(message.kind, _id_of(message), frame, now):
                return
            if isinstance(message, _SUBSCRIBES) and not self._may_subscribe(message, now):
                return
        try:
            _ACTIONS[type(message)](self, message, now)
        except Refused as refused:
            self._refuse(message.kind, _id_of(message), refused)
        else:
            if type(message) is Publish and message.id is None:
                self._publishing.learn_plain(frame, message)

    @property
    def must_wait(self) -> bool:
        """Whether to read no more of this peer until the next flush."""
        engine, pending = self._engine, self.peer.pending
        limits = engine.limits
        allowed = limits.pending_peer_bytes * (_TURNS_OF_A_COMMIT if engine.committing else 1)
        if pending > allowed or (pending > 0 and engine.pending_bytes > limits.pending_bytes):
            return True
        return self._asks is not None or (self._tab is not None and self._tab.owes_until is not None)

    @property
    def clogged(self) -> bool:
        """Whether so many replies wait for this peer that it must read before it may ask for more."""
        return self.peer.reply_bytes > self._engine.limits.reply_bytes

    def _malformed(self, error: WireError) -> None:
        if error.code == "bad_frame" or not self.greeted:
            code = "hello_expected" if error.code == "unknown_kind" else error.code
            raise Goodbye(code, error.text) from None
        self._refuse(error.kind, error.id, Refused(error.code, error.text))

    # Subscriptions.

    def welcomed(self, subscriptions: Sequence[Subscribe], now: float) -> None:
        if subscriptions:
            self._subscribes(len(subscriptions), now)
        for subscribe in subscriptions:
            try:
                self._subscribe(subscribe, now)
            except Refused as refused:
                self._refuse(Subscribe.kind, subscribe.id, refused)

    def _subscribe(self, subscribe: Subscribe, now: float) -> None:
        check_pattern(subscribe.pattern)
        self._check_id(subscribe.id)
        engine, peer, rights = self._engine, self.peer, self.identity.rights
        if subscribe.group is not None:
            rights.check_share(subscribe.pattern)
            stream = peer.next_stream()
            try:
                engine.groups.join_live(peer, subscribe.id, subscribe.pattern, subscribe.group, stream, self._holding)
            except GroupConflict as conflict:
                raise conflict.seen_by(rights.may_consume) from None
            self._consumers |= {subscribe.id}
            self._answer(subscribe.id, stream, None)
        elif subscribe.seen or subscribe.since or subscribe.once:
            self._subscribe_since(subscribe, self._readable(subscribe.pattern), now)
        else:
            pattern = subscribe.pattern
            readable = self._readable(pattern)
            offset = engine.readership.subscribe(peer, subscribe.id, pattern, now, readable, self._holding)
            self._answer(subscribe.id, LIVE, offset)

    def _subscribe_since(self, subscribe: Subscribe, readable: tuple[str, ...], now: float) -> None:
        """Let it catch up on a stream of its own; where it misses nothing it is live at once."""
        engine, peer, pattern = self._engine, self.peer, subscribe.pattern
        self._check_positions(subscribe)
        if subscribe.since is None and subscribe.seen is None:
            subscribe = replace(subscribe, since=_EARLIEST)
        exact = is_exact(pattern)
        if not exact and subscribe.since and subscribe.since[0] == "offset":
            raise OffsetOfPattern(pattern)
        offset = engine.topics.of(pattern, now, self._holding).log.end if exact else None
        trail = Trail(engine.topics, subscribe, engine.epoch, readable)
        if trail.at_present() and not trail.once:
            engine.readership.subscribe(peer, subscribe.id, pattern, now, readable)
            self._answer(subscribe.id, LIVE, offset)
        else:
            engine.follow(peer, trail)
            self._answer(subscribe.id, trail.stream, offset)
        engine.stats.resumes += subscribe.seen is not None

    def _readable(self, pattern: str) -> tuple[str, ...]:
        """What may be read of a pattern. A part of it is worked out anew with each change of rights."""
        readable = self.identity.rights.readable(pattern)
        if readable != (pattern,):
            parts = sum([type(each) is Restricted for each in self.peer.subscriptions.values()])
            if parts + sum([isinstance(trail, Trail) and trail.is_part for trail in self.peer.trails]) >= PARTS:
                raise TooManySubscriptions(PARTS, "subscriptions to patterns of which it may read a part")
        return readable

    def _check_positions(self, subscribe: Subscribe) -> None:
        held = sum([trail.held for trail in self.peer.trails if isinstance(trail, Trail)])
        if subscribe.positions and held + len(subscribe.positions) > POSITIONS:
            raise TooManySubscriptions(POSITIONS, "positions in what catches up")

    def _answer(self, id: int, stream: int, offset: int | None) -> None:
        self._engine.reply(self.peer, encode(Subscribed(id, stream, self._engine.stamp, offset)))

    def _check_id(self, id: int) -> None:
        """Raise unless this connection may have one more subscription, under this id."""
        peer, limit = self.peer, self._engine.limits.subscriptions
        if id in peer.subscriptions or id in self._consumers or any(trail.id == id for trail in peer.trails):
            raise SubscriptionExists(id)
        if len(peer.subscriptions) + len(self._consumers) + len(peer.trails) >= limit:
            raise TooManySubscriptions(limit)

    def _unsubscribe(self, unsubscribe: Unsubscribe, now: float) -> None:
        engine, peer, id = self._engine, self.peer, unsubscribe.id
        if id in peer.subscriptions:
            engine.readership.unsubscribe(peer, id)
        elif id in self._consumers:
            self._consumers -= {id}
            engine.groups.leave(peer, id)
        elif any(trail.id == id for trail in peer.trails):
            peer.trails = tuple(trail for trail in peer.trails if trail.id != id)
        else:
            raise UnknownSubscription(id)
        engine.reply(peer, encode(Unsubscribed(id)))

    # Consumers.

    def _consume(self, consume: Consume, now: float) -> None:
        check_pattern(consume.pattern)
        self._check_id(consume.id)
        self.identity.rights.check_consume(consume.pattern)
        limits, stream = self._engine.limits, self.peer.next_stream()
        consume.ack_timeout_ms = consume.ack_timeout_ms or int(limits.ack_timeout * 1000)
        consume.attempts = consume.attempts or limits.attempts
        try:
            self._engine.groups.join(self.peer, consume, stream, self._holding)
        except GroupConflict as conflict:
            raise conflict.seen_by(self.identity.rights.may_consume) from None
        self._consumers |= {consume.id}
        self._answer(consume.id, stream, None)

    def _consumed(self, consumed: Consumed, now: float) -> None:
        self._check_consumer(consumed.id)
        self._engine.due = True
        self._engine.groups.consumed(self.peer, consumed)

    def _returned(self, returned: Returned, now: float) -> None:
        self._check_consumer(returned.id)
        self._engine.due = True
        self._engine.groups.returned(self.peer, returned, now)

    def _extended(self, extended: Extended, now: float) -> None:
        self._check_consumer(extended.id)
        self._engine.due = True
        self._engine.groups.extended(self.peer, extended, now)

    def _window(self, window: Window, now: float) -> None:
        self._check_consumer(window.id)
        self._engine.due = True
        self._engine.groups.resized(self.peer, window)

    def _check_consumer(self, id: int) -> None:
        if id not in self._consumers:
            raise UnknownConsumer(id)

    def _list(self, wanted: List, now: float) -> None:
        groups = self._engine.groups.listing(self.identity.rights.may_consume)
        self._engine.reply(self.peer, encode(Groups(wanted.id, groups)))

    def _publish(self, publish: Publish, now: float) -> None:
        self._publishing.publish(publish, now)

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
    Consume: Session._consume,
    Consumed: Session._consumed,
    Returned: Session._returned,
    Extended: Session._extended,
    Window: Session._window,
    List: Session._list,
    Refresh: Session._refresh,
}
