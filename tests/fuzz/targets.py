"""What is fuzzed: each takes bytes, and lets nothing out but the errors that are documented."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from house.link import House
from tickwire.core.errors import Goodbye, Unauthorized
from tickwire.core.limits import Limits
from tickwire.core.rates import Rates
from tickwire.core.rights import Identity
from tickwire.server.door import keys
from tickwire.server.door.addresses import parse_address, parse_network
from tickwire.server.door.origins import Origins
from tickwire.server.door.proxies import FORWARDED, X_FORWARDED_FOR, BadProxyHeader, client_of, read_proxy_header
from tickwire.server.door.tokens import Tokens
from tickwire.wire.decode import decode_from_broker, decode_from_client
from tickwire.wire.errors import WireError
from tickwire.wire.websocket import Broken, Reader

SECRET = keys.of_secret(b"0123456789abcdef0123456789abcdef", "a test")
TRUSTED = (parse_network("10.0.0.0/8"),)
WHO = Identity.of("some", publish=["a.*"], subscribe=["prices.>", "a"], consume=["a"])


def decoder(data: bytes) -> None:
    """A frame of a client, and one of a broker."""
    for decode in (decode_from_client, decode_from_broker):
        with suppress(WireError):
            decode(data)


def frames(data: bytes) -> None:
    """The bytes of a WebSocket, whichever way it was negotiated, in two pieces."""
    if not data:
        return
    reader = Reader(1 << 16, masked=bool(data[0] & 1), deflates=bool(data[0] & 2), ratio=64.0 * (data[0] & 4))
    stream, at = data[1:], 0
    try:
        while True:
            before = at
            at, _ = reader.read(stream, at)
            if at == before:
                assert reader.needed > len(stream) - at
                return
    except Broken as broken:
        assert broken.closes in (1002, 1007, 1008, 1009)  # noqa: PT017 - it may come, or not


def session(data: bytes) -> None:
    """Frames behind one another, each behind its length; the first byte says who sends them and how they come."""
    house = House(Limits(rates=Rates(messages=5 * (data[:1] > b"\x80")), topics=9, groups=2))
    link = house.link(greet=bool(data[:1] < b"\xf0"))
    if link.session.greeted and data[:1] > b"\x40":
        link.session.become(WHO, house.clock.now)
    at, said = 1, []
    while at < len(data):
        said.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    try:
        link.session.receive_all(said[::2], house.clock.now, 100)
        for frame in said[1::2]:
            link.send(frame)
        house.settle()
    except Goodbye:
        link.session.leave()


def door(data: bytes) -> None:
    """Tokens, headers of proxies, origins."""
    text = data.decode("utf-8", "replace")
    with suppress(Unauthorized):
        Tokens([SECRET]).identify(text)
    with suppress(BadProxyHeader):
        found = read_proxy_header(data)
        assert found is None or 0 < found[0] <= len(data)
    for header in (FORWARDED, X_FORWARDED_FOR):
        assert client_of(parse_address("10.0.0.1"), text.split("\n"), header, TRUSTED) is not None
    Origins(("https://a.example",)).allow(text, text[::2])
    with suppress(keys.BadKeys):
        keys.of_bytes(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoder": decoder, "frames": frames, "session": session, "door": door
}  # fmt: skip
