"""What the broker refuses: each error knows its facts and writes its own sentence."""

from __future__ import annotations

from tickwire.wire.errors import Refused, TickwireError


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
    def __init__(self, limit: int) -> None:
        text = f"this connection has {limit} subscriptions already, which is the limit"
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


class AlreadyGreeted(Refused):
    def __init__(self) -> None:
        super().__init__("already_greeted", "this connection has said HELLO already")
