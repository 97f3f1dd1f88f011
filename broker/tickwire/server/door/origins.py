"""Which pages may connect: a browser says of whom a page is (RFC 6454), all others say nothing or what they like."""

from __future__ import annotations

import re
from ipaddress import ip_address

ANY = "*"
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^/:?#@\[\]\s,]+)(?::(?P<port>[0-9]{1,5}))?"
)
_PORTS = {"http": 80, "https": 443}

Parts = tuple[str, str, int]


def parse_origin(text: str) -> Parts | None:
    """Scheme, host and port; None for what is no origin, such as `null`, which sandboxed pages and files have."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else _PORTS.get(found["scheme"], 0)
    return found["scheme"], found["host"], port


def check_setting(text: str) -> None:
    """Raises ValueError for what no page's origin can be."""
    if text not in (ANY, "null") and parse_origin(text) is None:
        raise ValueError("must be an origin, such as https://example.com or http://localhost:3000, or * for all")


class Origins:
    """Those that are allowed: exactly, with scheme, host and port.

    A page that came from the very host and port that it connects to is one of ours; but only where that is an address
    or `localhost`. A name can be made to mean any address by whoever owns it, this machine's own too, and then the page
    of that name would be one of ours (DNS rebinding).
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._any = ANY in allowed
        self._allowed = {parse_origin(text) or text for text in allowed}

    def allow(self, origin: str | None, host: str) -> bool:
        """Whether a request that says it is from there may be upgraded; `host` is its Host header."""
        if origin is None or self._any:
            return True
        parts = parse_origin(origin)
        if (origin if parts is None else parts) in self._allowed:
            return True
        return parts is not None and _is_own(parts, host)


def _is_own(parts: Parts, host: str) -> bool:
    scheme, name, port = parts
    served = parse_origin(f"{scheme}://{host}")
    if scheme not in _PORTS or served is None or served[1:] != (name, port):
        return False
    if name == "localhost":
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
