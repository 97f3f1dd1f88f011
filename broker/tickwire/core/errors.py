"""What the broker refuses: each error knows its facts and writes its own sentence."""

from __future__ import annotations

from tickwire.wire.errors import Refused, TickwireError, shown


class Goodbye(TickwireError):
    """The connection cannot go on: say why, then close."""

    def __init__(self, code: str, text: str, retry_after_ms: int | None = None) -> None:
        self.code, self.text, self.retry_after_ms = code, text, retry_after_ms
        super().__init__(text)


class FrameTooLarge(Goodbye):
    def __init__(self, size: int, limit: int, greeted: bool = True) -> None:
        self.size, self.limit = size, limit
        when = "" if greeted else " before the welcome"
        super().__init__("frame_too_large", f"frame of {size} bytes exceeds the limit of {limit}{when}")


class ReservedTopic(Refused):
    def __init__(self, topic: str) -> None:
        super().__init__("reserved_topic", f"topic {topic!r} starts with '$': only the broker publishes there")


class TooManySubscriptions(Refused):
    def __init__(self, limit: int, which: str = "subscriptions") -> None:
        text = f"this connection has {limit} {which} already, which is the limit"
        super().__init__("too_many_subscriptions", text, {"limit": limit})


class SubscriptionExists(Refused):
    def __init__(self, id: int) -> None:
        super().__init__("subscription_exists", f"this connection has a subscription with the id {id} already")


class UnknownSubscription(Refused):
    def __init__(self, id: int) -> None:
        super().__init__("unknown_subscription", f"this connection has no subscription with the id {id}")


class TooManyTopics(Refused):
    def __init__(self, limit: int) -> None:
        text = f"the broker holds {limit} topics already, which is the limit"
        super().__init__("too_many_topics", text, {"limit": limit})


class HoldsTooMany(Refused):
    """A subject has as many of something as it may have at a time."""

    def __init__(self, subject: str, what: str, limit: int) -> None:
        text = f"subject {shown(subject)} holds {limit} {_HELD[what]} already, which is the limit"
        super().__init__(f"too_many_{what}", text, {"limit": limit})


_HELD = {"topics": "topics", "groups": "consumer groups"}


class AlreadyGreeted(Refused):
    def __init__(self) -> None:
        super().__init__("already_greeted", "this connection has said HELLO already")


class FuturePosition(Refused):
    def __init__(self, topic: str, offset: int, end: int) -> None:
        text = f"offset {offset} of {topic!r} was never given: the next one is {end}"
        super().__init__("future_position", text, {"offset": offset, "next": end})


class FutureStamp(Refused):
    def __init__(self, stamp: int, newest: int) -> None:
        text = f"stamp {stamp} was never given in this epoch: the newest is {newest}"
        super().__init__("future_position", text, {"stamp": stamp, "newest": newest})


class IdentityRequired(Refused):
    def __init__(self) -> None:
        super().__init__("identity_required", "a publish with a sequence needs a publisher in the HELLO")


class IdentityConflict(Refused):
    def __init__(self, sequence: int) -> None:
        text = f"sequence {sequence} of this publisher was used already, for other messages"
        super().__init__("identity_conflict", text, {"sequence": sequence})


class WindowExpired(Refused):
    def __init__(self, sequence: int) -> None:
        text = f"sequence {sequence} is below this publisher's last one and not remembered: it may have been stored"
        super().__init__("window_expired", text, {"sequence": sequence})


class NoSpace(Refused):
    def __init__(self) -> None:
        super().__init__("no_space", "the broker's disk is full: certainly not stored; try again when there is room")


class NoMemory(Refused):
    def __init__(self) -> None:
        super().__init__("no_memory", "the broker has as much memory as it may: certainly not stored; try again later")


class StoreDown(Refused):
    def __init__(self) -> None:
        super().__init__("store_failed", "the broker's disk failed: certainly not stored, and nothing will be")


class StoreUnsure(Refused):
    """Not a refusal in truth: nobody knows. It travels like one, and the client makes OutcomeUnknown of it."""

    def __init__(self) -> None:
        super().__init__("outcome_unknown", "the broker's disk failed while this was stored: it may be there or not")


class UnknownConsumer(Refused):
    def __init__(self, id: int) -> None:
        super().__init__("unknown_consumer", f"this connection has no consumer with the id {id}")


class OffsetOfPattern(Refused):
    def __init__(self, pattern: str) -> None:
        super().__init__("bad_pattern", f"an offset is that of one topic, and {pattern!r} may match several")


class Forbidden(Refused):
    """Somebody's rights do not reach that far."""

    def __init__(self, act: str, name: str) -> None:
        super().__init__("forbidden", f"this connection may not {act} {shown(name)}")


class Unauthorized(Goodbye):
    """It is not known who this is, or what it showed for it is no good."""

    def __init__(self, text: str, code: str = "unauthorized", subject: str | None = None) -> None:
        """`subject` is whose token it was, where that is known for certain."""
        self.subject = subject
        super().__init__(code, text)


class OtherSubject(Refused):
    def __init__(self) -> None:
        super().__init__("unauthorized", "a connection stays that of its subject: connect anew for another")


class RateExceeded(Refused):
    """Somebody has asked for more than is waited for."""

    def __init__(self, what: str, per_second: float, wait: float) -> None:
        text = f"more than {per_second:g} {what} a second were asked for, which is the limit"
        text += f"; {wait:.1f} s would pay for it"
        super().__init__("rate_exceeded", text, {"limit": int(per_second), "retry_after_ms": int(wait * 1000)})
