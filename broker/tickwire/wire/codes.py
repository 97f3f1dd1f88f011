"""The registry of codes: what a refusal, a goodbye or a gap may say, for the broker, the SDKs and the docs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A stable name, and the WebSocket close code (or HTTP status) where the connection cannot go on."""

    name: str
    meaning: str
    closes: int | None = None


CODES: dict[str, Code] = {
    code.name: code
    for code in (
        Code("bad_frame", "Not one msgpack array that starts with a kind, or past the bounds of decoding.", 1007),
        Code("text_frame", "A text message; frames are binary.", 1003),
        Code("bad_websocket", "Frames that break RFC 6455 or 7692; closed with 1002, 1007 or 1008, as they say.", 1002),
        Code("frame_too_large", "A frame longer than `frame_bytes`, or than 16 KiB before the welcome.", 1009),
        Code("hello_expected", "The first frame was not a HELLO.", 1002),
        Code("hello_timeout", "No HELLO came within the deadline.", 1002),
        Code("version_unsupported", "None of the versions offered is spoken here.", 1002),
        Code("heartbeat_timeout", "Nothing was heard from the peer for `deadline_ms`.", 1001),
        Code("too_slow", "Replies waited too long for a peer that does not read.", 1008),
        Code("taken_over", "The same publisher has connected again: the newest connection counts.", 1008),
        Code("going_away", "The broker is stopping; come back after `retry_after_ms`.", 1001),
        Code("unauthorized", "No token, or one that is no good: the text says why. Also an HTTP answer.", 1008),
        Code("token_expired", "The token has expired, and no newer one came.", 1008),
        Code("token_revoked", "The token, or its subject, was revoked.", 1008),
        Code("too_many_of_subject", "The subject has as many connections as it may.", 1008),
        Code("rate_exceeded", "Far more was asked for than the rates allow. Closes where that goes on.", 1008),
        Code("internal_error", "A fault of the broker's own.", 1011),
        Code("already_greeted", "A second HELLO."),
        Code("unknown_kind", "A kind that this version does not have, or that clients do not send."),
        Code("bad_field", "An element of the frame is missing, of the wrong type or out of range; the text names it."),
        Code("forbidden", "The connection's rights do not reach that far."),
        Code("bad_topic", "A topic that breaks the grammar."),
        Code("bad_pattern", "A pattern that breaks the grammar."),
        Code("reserved_topic", "A publish to a topic that starts with `$`."),
        Code("payload_too_large", "A payload longer than `payload_bytes`."),
        Code("too_many_messages", "A PUBLISH with more than `frame_messages` payloads."),
        Code("too_many_subscriptions", "One more than `subscriptions` on this connection."),
        Code("subscription_exists", "The id is already that of a subscription of this connection."),
        Code("unknown_subscription", "The id is not that of a subscription of this connection."),
        Code("too_many_topics", "The broker, or the subject, holds as many topics as it may."),
        Code("future_position", "A position past the end of its topic, or a stamp past the broker's: never given."),
        Code("identity_required", "A PUBLISH with a `sequence`, where the HELLO named no `publisher`."),
        Code("identity_conflict", "The sequence was used already, for other messages."),
        Code("window_expired", "A sequence below the publisher's last that is not remembered: perhaps stored."),
        Code("outcome_unknown", "The store ended the commit in an error: it may have been stored or not."),
        Code("store_failed", "The disk failed: nothing is stored any more until the broker starts again."),
        Code("no_space", "The disk is full: nothing is stored until there is room."),
        Code("no_memory", "The broker has as much memory as it may. Also an HTTP answer, 503."),
        Code("bad_group", "A group name that breaks the grammar."),
        Code("group_conflict", "The group is there, with another pattern or of the other kind."),
        Code("too_many_groups", "The broker, or the subject, holds as many consumer groups as it may."),
        Code("unknown_consumer", "The id is not that of a consumer of this connection."),
        Code("ack_unknown", "Messages of a topic or with offsets that this group was never given."),
        Code("ack_foreign", "Messages that another member of the group has now."),
        Code("ack_future", "Messages that were not handed out yet."),
        Code("ack_repeated", "Messages that are settled already."),
        Code(
            "too_many_connections",
            "HTTP answer: the address has as many connections as it may; 503 where the broker has.",
            429,
        ),
        Code("connecting_too_fast", "HTTP answer: the address makes new connections faster than it may.", 429),
        Code("address_forbidden", "HTTP answer: the address may not connect.", 403),
        Code("origin_forbidden", "HTTP answer: pages of that origin may not connect.", 403),
        Code("token_in_url", "HTTP answer: the URL has a token in it.", 400),
        Code("bad_upgrade", "HTTP answer: the upgrade is not one of RFC 6455; 426 where the version is another.", 400),
        Code("subprotocol_required", "HTTP answer: the upgrade did not offer `tickwire.v1`.", 400),
    )
}

EVICTED, FREED, CORRUPT, EPOCH, DROPPED = "evicted", "freed", "corrupt", "epoch", "dropped"

# reason -> (who says it, what it means)
GAP_REASONS: dict[str, tuple[str, str]] = {
    EVICTED: ("broker", "The reader was behind or away, and its topic's log keeps no more of what it missed."),
    FREED: ("broker", "The reader was away, and the topic was forgotten meanwhile: nobody read it, nothing was kept."),
    CORRUPT: ("broker", "What was stored is damaged."),
    EPOCH: ("either", "The broker started a new epoch: what it still held is gone, perhaps nothing."),
    DROPPED: ("client", "The application was slow, and asked for dropping or was too far behind to wait for."),
}
