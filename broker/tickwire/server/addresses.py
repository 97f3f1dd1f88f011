"""How many connections each address has: an IPv4 address, or an IPv6 /64."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address, ip_network


def key_of(address: str | None) -> str:
    """What is counted as one address. A /64 is what one household or machine is given of IPv6."""
    try:
        ip = ip_address((address or "").split("%")[0])
    except ValueError:
        return address or "unknown"  # a Unix socket, or something stranger: all of a kind together
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((ip, 64), strict=False))
    return str(ip)


class ConnectionCap:
    """Counts who is in. Whoever entered leaves exactly once, however that comes about."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counts: Counter[str] = Counter()

    def enter(self, key: str) -> bool:
        """Returns whether there is room for one more."""
        if self._counts[key] >= self.limit:
            return False
        self._counts[key] += 1
        return True

    def leave(self, key: str) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]

    def __len__(self) -> int:
        return len(self._counts)
