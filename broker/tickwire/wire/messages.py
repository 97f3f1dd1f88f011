"""The frames of the protocol as objects: shape and meaning on one screen. PROTOCOL.md says the same in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .limits import MSGPACK, VERSION

# Not frozen: one is made per frame received, and a frozen dataclass takes three times as long to make.


@dataclass(slots=True)
class Subscribe:
    """Ask for every message of the topics that match, from now on."""

    kind: ClassVar[int] = 2
    id: int
    pattern: str
    seen: tuple[int, int] | None = None  # (epoch, newest stamp at which the client had everything)


@dataclass(slots=True)
class Hello:
    """Open the conversation."""

    kind: ClassVar[int] = 1
    versions: list[int] = field(default_factory=lambda: [VERSION])
    client: str | None = None
    token: str | None = None
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
    payloads: list[bytes]
    format: int = MSGPACK


@dataclass(slots=True)
class Publish:
    """Offer payloads to everyone subscribed to their topics: taken whole or not at all."""

    kind: ClassVar[int] = 4
    id: int | None  # the id to acknowledge; None when nobody waits
    runs: list[Run]


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
    """The subscription is live on `stream`; all up to `stamp` happened before it."""

    kind: ClassVar[int] = 17
    id: int
    stream: int
    stamp: int
    offset: int | None = None  # the topic's next offset, where the pattern names one topic
    moved: list[tuple[str, int, int]] | None = None  # (topic, from, to): what came since `seen`
    more: bool | None = None  # there were too many to name


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


@dataclass(slots=True)
class Delivery:
    """Sections of one stream."""

    kind: ClassVar[int] = 21
    stream: int
    sections: list[Section]


@dataclass(slots=True)
class Gap:
    """The offsets [start, end) of that topic will not come."""

    kind: ClassVar[int] = 22
    stream: int
    topic: str
    start: int
    end: int
    reason: str


@dataclass(slots=True)
class Mark:
    """You are level: all up to this stamp has been sent."""

    kind: ClassVar[int] = 23
    stamp: int


FromClient = Hello | Subscribe | Unsubscribe | Publish | Beat | Bye
FromBroker = Beat | Bye | Welcome | Subscribed | Unsubscribed | Ack | Refusal | Delivery | Gap | Mark
Message = FromClient | FromBroker

KIND_NAMES: dict[int, str] = {
    Hello.kind: "HELLO",
    Subscribe.kind: "SUBSCRIBE",
    Unsubscribe.kind: "UNSUBSCRIBE",
    Publish.kind: "PUBLISH",
    Beat.kind: "BEAT",
    Bye.kind: "BYE",
    Welcome.kind: "WELCOME",
    Subscribed.kind: "SUBSCRIBED",
    Unsubscribed.kind: "UNSUBSCRIBED",
    Ack.kind: "ACK",
    Refusal.kind: "REFUSED",
    Delivery.kind: "DELIVERY",
    Gap.kind: "GAP",
    Mark.kind: "MARK",
}
