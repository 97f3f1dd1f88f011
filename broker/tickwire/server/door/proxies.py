"""Who the client is, where others stand between: X-Forwarded-For, Forwarded (RFC 7239) and the PROXY protocol.

Each proxy writes behind what it was given who gave it that. So what stands there is read from the right, for as long as
those who wrote it are trusted; what is left of the first who is not may be anybody's invention.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from .addresses import Address, Network, is_in, parse_address

X_FORWARDED_FOR, FORWARDED = "x-forwarded-for", "forwarded"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'\s*({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")\s*(;|,|$)')
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\w+)?|([0-9.]+):\w+")


def client_of(peer: Address | None, said: Iterable[str], header: str, trusted: tuple[Network, ...]) -> Address | None:
    """The address of the client. `said` is what stands in the header, line by line; of others nothing is believed."""
    if not is_in(peer, trusted):
        return peer
    client = peer
    for hop in reversed(_hops(",".join(said), header)):
        address = _address_of(hop)
        if address is None:
            return client  # a name, or `unknown`: the last that is known stands for all behind it
        client = address
        if not is_in(client, trusted):
            break
    return client


def _hops(said: str, header: str) -> list[str]:
    if header == X_FORWARDED_FOR:
        return [hop for each in said.split(",") if (hop := each.strip())]
    return _forwarded_for(said)


def _forwarded_for(said: str) -> list[str]:
    """The `for` of each element. What is malformed hides all that is left of it: it comes out as no address."""
    hops, hop, at = [], "", 0
    while at < len(said):
        pair = _PAIR.match(said, at)
        if pair is None:
            # Nobody knows where the next element begins. Those to the right were lost with it: begin anew behind it.
            hops, hop = [""], ""
            comma = said.find(",", at)
            if comma < 0:
                break
            at = comma + 1
            continue
        name, value, end = pair.groups()
        if name.lower() == "for":
            hop = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        if end != ";":
            hops.append(hop)
            hop = ""
        at = pair.end()
    return hops


def _address_of(hop: str) -> Address | None:
    found = _WITH_PORT.fullmatch(hop)
    return parse_address((found[1] or found[2]) if found else hop)


# The PROXY protocol, as https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt has it.

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_BYTES = 107
_V2_BYTES = 16 + 4_096  # of more than that nobody has a use
_LOCAL, _PROXY = 0, 1
_INET, _INET6 = 1, 2


class BadProxyHeader(ValueError):
    """What a connection begins with is no header of the PROXY protocol."""


def read_proxy_header(data: bytes) -> tuple[int, Address | None] | None:
    """How long the header is, and whose connection it says this is: None where it says that it is the proxy's own.

    None for the whole where it has not come whole. Raises BadProxyHeader.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_v1(data)
    raise BadProxyHeader("a connection does not begin with a header of the PROXY protocol")


def _read_v1(data: bytes) -> tuple[int, Address | None] | None:
    end = data.find(b"\r\n", 0, _V1_BYTES)
    if end < 0:
        if len(data) >= _V1_BYTES:
            raise BadProxyHeader(f"a PROXY header has no end within {_V1_BYTES} bytes")
        return None
    parts = data[:end].decode("latin-1").split(" ")
    if parts[1] == "UNKNOWN":
        return end + 2, None
    if len(parts) != 6 or parts[1] not in ("TCP4", "TCP6"):
        raise BadProxyHeader("a PROXY header is not `PROXY TCP4|TCP6 from to port port`")
    try:
        source = ip_address(parts[2])
    except ValueError:
        source = None
    if source is None or (source.version == 6) is not (parts[1] == "TCP6"):
        raise BadProxyHeader(f"a PROXY header has no address of {parts[1]} in it")
    return end + 2, parse_address(str(source))


def _read_v2(data: bytes) -> tuple[int, Address | None] | None:
    if len(data) < 16:
        return None
    version_command, family, length = struct.unpack_from("!BBH", data, 12)
    command, kind = version_command & 0xF, family >> 4
    if version_command >> 4 != 2 or command not in (_LOCAL, _PROXY):
        raise BadProxyHeader("a PROXY header is of a version or has a command that nobody knows")
    if 16 + length > _V2_BYTES:
        raise BadProxyHeader(f"a PROXY header is longer than {_V2_BYTES} bytes")
    if len(data) < 16 + length:
        return None
    if command == _LOCAL or kind not in (_INET, _INET6):
        return 16 + length, None
    size = 4 if kind == _INET else 16
    if length < 2 * size + 4:
        raise BadProxyHeader("a PROXY header is too short for its addresses")
    source = ip_address(data[16 : 16 + size])
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    return 16 + length, mapped or source
