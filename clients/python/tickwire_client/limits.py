"""What the broker takes, as its welcome says."""

from __future__ import annotations

from tickwire.wire import limits as protocol

# Publishes are joined into frames of this size: enough that a frame's own cost is nothing, and small enough that the
# broker takes one in while the next is written.
_JOINED_BYTES = 128 << 10


class Limits:
    """The limits of the last welcome; before the first one, those of a broker with nothing configured."""

    __slots__ = (
        "ack_timeout_ms",
        "beat_ms",
        "deadline_ms",
        "frame_bytes",
        "frame_messages",
        "identity_frames",
        "identity_seconds",
        "joined_bytes",
        "joined_messages",
        "payload_bytes",
    )

    def __init__(self, said: dict[str, int] | None = None) -> None:
        said = said or {}
        self.payload_bytes = _said(said, "payload_bytes", protocol.PAYLOAD_BYTES)
        self.frame_bytes = _said(said, "frame_bytes", protocol.FRAME_BYTES)
        self.frame_messages = _said(said, "frame_messages", protocol.FRAME_MESSAGES)
        # Of what is sent together though nobody said so. A frame of more than a second's worth might be refused whole.
        self.joined_bytes = min(_JOINED_BYTES, self.frame_bytes, _said(said, "bytes_per_second", _JOINED_BYTES))
        self.joined_messages = min(self.frame_messages, _said(said, "messages_per_second", self.frame_messages))
        self.beat_ms = _said(said, "beat_ms", 20_000)
        self.deadline_ms = _said(said, "deadline_ms", 50_000)
        self.ack_timeout_ms = _said(said, "ack_timeout_ms", 30_000)
        # How long, and how many of a publisher's frames, are remembered by their sequences. A broker that does not say
        # so remembers none, and what was sent to it is not sent again.
        self.identity_seconds = _said(said, "identity_seconds", 0)
        self.identity_frames = _said(said, "identity_frames", 4_096)


def _said(said: dict[str, int], name: str, default: int) -> int:
    value = said.get(name)
    return value if type(value) is int and value > 0 else default
