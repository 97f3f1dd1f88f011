"""What may be asked of the broker. Sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from tickwire.wire import limits as wire

from .holdings import Allowance
from .policy import Policies
from .rates import Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds that the core keeps; the settings of the server are their source."""

    payload_bytes: int = wire.PAYLOAD_BYTES
    frame_bytes: int = wire.FRAME_BYTES
    frame_messages: int = wire.FRAME_MESSAGES
    subscriptions: int = 1_024  # of one connection
    topics: int = 100_000

    retain_bytes: int = 4 << 20  # of one topic
    retain_seconds: float = 60.0
    retain_total_bytes: int = 256 << 20
    retain_messages: int = 0  # of one topic; 0 is no bound
    free_topic_after: float = 60.0
    policies: Policies = field(default_factory=Policies)  # what is kept of which topics

    identity_seconds: float = 300.0  # a publish with a sequence is remembered for that long
    identity_frames: int = 4_096  # and the last so many of a publisher
    groups: int = 1_000  # of consumers
    ack_timeout: float = 30.0
    attempts: int = 5  # hand-outs of a message before it goes to the dead letters

    unsent_bytes: int = 256 << 10  # a peer with more than that unsent is behind
    unsent_total_bytes: int = 256 << 20
    reply_bytes: int = 64 << 10  # a peer that is owed more than that in replies is not read from
    pending_bytes: int = 32 << 20
    pending_peer_bytes: int = 256 << 10

    rates: Rates = field(default_factory=Rates)  # of one connection
    subject_rates: Rates = field(default_factory=Rates)  # of all connections of one subject together

    allowance: Allowance = field(default_factory=Allowance)  # of one subject

    beat_every: float = 20.0
    give_up_after: float = 50.0

    def for_welcome(self, known: bool = False) -> dict[str, int]:
        """The limits that a client is told: somebody who is known is bounded as a subject too."""
        rates = self.rates.least(self.subject_rates) if known else self.rates
        return {
            "payload_bytes": self.payload_bytes,
            "frame_bytes": self.frame_bytes,
            "frame_messages": self.frame_messages,
            "delivery_bytes": wire.DELIVERY_BYTES,
            "subscriptions": self.subscriptions,
            "topic_bytes": wire.TOPIC_BYTES,
            "topic_levels": wire.TOPIC_LEVELS,
            "beat_ms": int(self.beat_every * 1000),
            "deadline_ms": int(self.give_up_after * 1000),
            "identity_seconds": int(self.identity_seconds),
            "identity_frames": self.identity_frames,
            "ack_timeout_ms": int(self.ack_timeout * 1000),
            **rates.for_welcome(),
        }
