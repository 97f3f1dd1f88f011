"""The frames of the protocol as objects: shape and meaning on one screen. PROTOCOL.md says the same in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from .limits import MSGPACK, VERSION

# Not frozen: one is made per frame received, and a frozen dataclass takes three times as long to make.


@dataclass(slots=True)
class Subscribe:
    """Ask for the messages of the topics that match: from now on, or from where `since` or `seen` says."""

    kind: ClassVar[int] = 2
    id: int
    pattern: str
    seen: tuple[int, int] | None = None  # (epoch, newest stamp at which the client had everything): resume there
    positions: list[tuple[str, int]] | None = None  # and where it stands in topics that it got messages of since
    since: tuple[str | int, ...] | None = None  # ("earliest",) ("last",) ("time", time_us) ("offset", epoch, offset)
    once: bool | None = None  # only what there is up to now
    group: str | None = None  # each message goes to one of those who share the group's name


@dataclass(slots=True)
class Hello:
    """Open the conversation."""

    kind: ClassVar[int] = 1
    versions: list[int] = field(default_factory=lambda: [VERSION])
    client: str | None = None
    token: str | None = None
    publisher: str | None = None  # with the incarnation, whose sequences the publishes of this connection have
    incarnation: int | None = None
    subscriptions: list[Subscribe] = field(default_factory=list)


@dataclass(slots=True)
class Unsubscribe:
    """Want no more of a subscription."""

    kind: ClassVar[int] = 3
    id: int


@dataclass(slots=True)
class Run:
    """Payloads for one topic, in order."""

    topic: str
    payloads: Sequence[bytes]
    format: int = MSGPACK


@dataclass(slots=True)
class Publish:
    """Offer payloads to everyone subscribed to their topics: taken whole or not at all."""

    kind: ClassVar[int] = 4
    id: int | None  # the id to acknowledge; None when nobody waits
    runs: list[Run]
    sequence: int | None = None  # the publisher's number of this frame: a repeat is not stored again
    retry: bool | None = None  # it may have been sent before


@dataclass(slots=True)
class Consume:
    """Work on the messages of the topics that match, together with all who name the same group."""

    kind: ClassVar[int] = 7
    id: int
    pattern: str
    group: str
    max_unacked: int
    ack_timeout_ms: int | None = None
    attempts: int | None = None


@dataclass(slots=True)
class Consumed:
    """A consumer is done with these messages: (topic, from, to)."""

    kind: ClassVar[int] = 8
    id: int
    ranges: list[tuple[str, int, int]]


@dataclass(slots=True)
class Returned:
    """A consumer gives these messages back, to be handed out again after the delay."""

    kind: ClassVar[int] = 9
    id: int
    ranges: list[tuple[str, int, int]]
    delay_ms: int | None = None


@dataclass(slots=True)
class Window:
    """A consumer wants at most so many unacknowledged messages from now on."""

    kind: ClassVar[int] = 11
    id: int
    max_unacked: int


@dataclass(slots=True)
class Extended:
    """The ack timeout of these messages begins anew. Those `waiting` are not with the application yet."""

    kind: ClassVar[int] = 12
    id: int
    ranges: list[tuple[str, int, int]]
    waiting: bool | None = None


@dataclass(slots=True)
class Refresh:
    """Show a newer token, before the one of the Hello expires, or for what it allows."""

    kind: ClassVar[int] = 13
    id: int
    token: str


@dataclass(slots=True)
class List:
    """Ask what consumer groups there are."""

    kind: ClassVar[int] = 10
    id: int


@dataclass(slots=True)
class Beat:
    """I am here."""

    kind: ClassVar[int] = 5
    time_us: int


@dataclass(slots=True)
class Bye:
    """I am going; the close follows."""

    kind: ClassVar[int] = 6
    code: str
    text: str
    retry_after_ms: int | None = None


@dataclass(slots=True)
class Welcome:
    """The answer to Hello: whose epoch this is, and what may be asked."""

    kind: ClassVar[int] = 16
    version: int
    epoch: int
    stamp: int
    limits: dict[str, int]
    capabilities: dict[str, str]


@dataclass(slots=True)
class Subscribed:
    """The subscription comes on `stream`: 0 is live, another catches up first. All up to `stamp` happened before it."""

    kind: ClassVar[int] = 17
    id: int
    stream: int
    stamp: int
    offset: int | None = None  # the topic's next offset, where the pattern names one topic


@dataclass(slots=True)
class Unsubscribed:
    """Nothing comes for that subscription any more."""

    kind: ClassVar[int] = 18
    id: int


@dataclass(slots=True)
class Ack:
    """Each list answers one Publish: its id, then the first offset of each of its runs."""

    kind: ClassVar[int] = 19
    receipts: list[list[int]]


@dataclass(slots=True)
class Refusal:
    """The frame of that kind and id had no effect."""

    kind: ClassVar[int] = 20
    refused: int  # the kind of the frame
    id: int | None
    code: str
    text: str
    details: dict[str, object] | None = None


@dataclass(slots=True)
class Section:
    """Payloads of one topic with the consecutive offsets first, first + 1, ..."""

    topic: str
    first: int
    stamp: int
    time_us: int
    payloads: list[bytes]
    format: int = MSGPACK
    epoch: int | None = None  # only where it is not the welcome's
    attempt: int | None = None  # for a consumer, where it is not the first


@dataclass(slots=True)
class Delivery:
    """Sections of one stream."""

    kind: ClassVar[int] = 21
    stream: int
    sections: list[Section]


@dataclass(slots=True)
class Gap:
    """The offsets [start, end) of that topic will not come; None where it is not known which, perhaps of a pattern."""

    kind: ClassVar[int] = 22
    stream: int
    topic: str
    start: int | None
    end: int | None
    reason: str


@dataclass(slots=True)
class Mark:
    """You are level: all up to this stamp has been sent."""

    kind: ClassVar[int] = 23
    stamp: int


@dataclass(slots=True)
class Join:
    """A subscription has come level: from here on it comes on stream 0, with stamps above this one."""

    kind: ClassVar[int] = 24
    id: int
    stamp: int


@dataclass(slots=True)
class End:
    """All of a history has been sent."""

    kind: ClassVar[int] = 25
    id: int


@dataclass(slots=True)
class Group:
    """A consumer group: who works on what, and how many messages are not handed out or not settled."""

    name: str
    pattern: str
    members: int
    lag: int
    unacked: int


@dataclass(slots=True)
class Groups:
    """The answer to List."""

    kind: ClassVar[int] = 26
    id: int
    groups: list[Group]


@dataclass(slots=True)
class Refreshed:
    """The answer to Refresh: the token is good, and when it expires, where it does."""

    kind: ClassVar[int] = 27
    id: int
    expires_us: int | None = None  # Unix time


FromClient = (
    Hello | Subscribe | Unsubscribe | Publish | Beat | Bye | Consume | Consumed | Returned | Window | Extended | List
    | Refresh
)  # fmt: skip
FromBroker = (
    Beat | Bye | Welcome | Subscribed | Unsubscribed | Ack | Refusal | Delivery | Gap | Mark | Join | End | Groups
    | Refreshed
)  # fmt: skip
Message = FromClient | FromBroker

KIND_NAMES: dict[int, str] = {
    Hello.kind: "HELLO",
    Subscribe.kind: "SUBSCRIBE",
    Unsubscribe.kind: "UNSUBSCRIBE",
    Publish.kind: "PUBLISH",
    Beat.kind: "BEAT",
    Bye.kind: "BYE",
    Consume.kind: "CONSUME",
    Consumed.kind: "CONSUMED",
    Returned.kind: "RETURNED",
    List.kind: "LIST",
    Window.kind: "WINDOW",
    Extended.kind: "EXTENDED",
    Refresh.kind: "REFRESH",
    Welcome.kind: "WELCOME",
    Subscribed.kind: "SUBSCRIBED",
    Unsubscribed.kind: "UNSUBSCRIBED",
    Ack.kind: "ACK",
    Refusal.kind: "REFUSED",
    Delivery.kind: "DELIVERY",
    Gap.kind: "GAP",
    Mark.kind: "MARK",
    Join.kind: "JOIN",
    End.kind: "END",
    Groups.kind: "GROUPS",
    Refreshed.kind: "REFRESHED",
}
