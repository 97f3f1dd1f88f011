"""What an address may do: how many connections it has, how fast new ones come, and whether it may come at all.

An IPv4 address counts by itself. Of IPv6 a /64 is what one household or machine is given, and a /48 what one customer
is: both count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .refusals import AddressForbidden, ConnectingTooFast, Full, TooManyConnections

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_LOOK_EVERY = 1.0  # seconds, to forget whose buckets are full


@lru_cache(maxsize=4096)  # a storm of one address asks for it thrice a connection
def parse_address(text: str | None) -> Address | None:
    """An address as itself: an IPv4 one that is mapped into IPv6 is that, and a zone (`%eth0`) says nothing here."""
    try:
        ip = ip_address((text or "").split("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def parse_network(text: str) -> Network:
    """A network of the settings. Raises ValueError with what it must be."""
    try:
        network = ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"has bits beyond its prefix; did you mean {ip_network(text, strict=False)}?") from None
        raise ValueError("must be an address or a network, such as 10.0.0.0/8 or 2001:db8::/32") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def is_in(address: Address | None, networks: tuple[Network, ...]) -> bool:
    return bool(networks) and address is not None and any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Keys:
    """What an address is counted as. `wide` is the /48 of IPv6, and empty for all else."""

    narrow: str
    wide: str = ""


@lru_cache(maxsize=4096)
def keys_of(address: Address | None, shown: str | None = None) -> Keys:
    """`shown` is what to call something that is no address: a Unix socket, or something stranger, all of a kind."""
    if address is None:
        return Keys(shown or "unknown")
    if isinstance(address, IPv6Address):
        return Keys(str(ip_network((address, 64), strict=False)), str(ip_network((address, 48), strict=False)))
    return Keys(str(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLimits:
    """The caps are of open connections; `per_second` and `burst` are of new ones, where 0 a second is no bound.

    With an `allow` list nobody else may come; `deny` wins over it.
    """

    total: int = 0  # of all addresses; 0 is no bound
    connections: int = 256
    wide_connections: int = 1_024
    unauthenticated: int = 128
    per_second: float = 50.0
    burst: int = 256
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()


class _Place:
    """An address, or a network of them, that somebody is connected from."""

    __slots__ = ("connections", "key", "unauthenticated", "wide")

    def __init__(self, key: str, wide: _Place | None) -> None:
        self.key, self.wide = key, wide
        self.connections = self.unauthenticated = 0


class AddressBook:
    """Who is in. Whoever entered leaves exactly once, however that comes about. Times are seconds of a steady clock."""

    def __init__(self, limits: AddressLimits) -> None:
        self.limits = limits
        self.count = 0
        self._places: dict[str, _Place] = {}
        # When the bucket of new connections would be full again, where it is not: all that a bucket has to remember.
        self._full_at: dict[str, float] = {}
        self._looked_at = 0.0

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, address: Address | None, keys: Keys, now: float) -> Entry:
        """Let one more in. Raises UpgradeRefused with the limit that it was; then nothing has changed."""
        self._check_lists(address)
        self._check_caps(keys)
        self._check_rate(keys.narrow, now)
        wide = self._place(keys.wide) if keys.wide else None
        place = self._place(keys.narrow, wide)
        self.count += 1
        place.unauthenticated += 1
        for each in (place, wide):
            if each is not None:
                each.connections += 1
        return Entry(self, place)

    def left(self, place: _Place) -> None:
        self.count -= 1
        for each in (place, place.wide):
            if each is not None:
                each.connections -= 1
                if not each.connections:
                    del self._places[each.key]

    def _place(self, key: str, wide: _Place | None = None) -> _Place:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = _Place(key, wide)
        return place

    def _check_lists(self, address: Address | None) -> None:
        limits = self.limits
        if is_in(address, limits.deny) or (limits.allow and not is_in(address, limits.allow)):
            raise AddressForbidden(str(address or "what has no address"))

    def _check_rate(self, key: str, now: float) -> None:
        """A token bucket. It is full at `full_at`, and a token less for each interval before that."""
        limits = self.limits
        if not limits.per_second:
            return
        if now - self._looked_at > _LOOK_EVERY:
            self._looked_at = now
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        interval = 1 / limits.per_second
        full_at = max(self._full_at.get(key, now), now) + interval
        wait = full_at - now - limits.burst * interval
        if wait > 1e-9:
            raise ConnectingTooFast(key, limits.per_second, wait)
        self._full_at[key] = full_at

    def _check_caps(self, keys: Keys) -> None:
        limits = self.limits
        if limits.total and self.count >= limits.total:
            raise Full(limits.total)
        wide, place = self._places.get(keys.wide), self._places.get(keys.narrow)
        if wide is not None and wide.connections >= limits.wide_connections:
            raise TooManyConnections(keys.wide, limits.wide_connections)
        if place is None:
            return
        if place.connections >= limits.connections:
            raise TooManyConnections(keys.narrow, limits.connections)
        if place.unauthenticated >= limits.unauthenticated:
            raise TooManyConnections(keys.narrow, limits.unauthenticated, "that have not said who they are")


class Entry:
    """One connection's place in the book."""

    __slots__ = ("_authenticated", "_book", "_place")

    def __init__(self, book: AddressBook, place: _Place) -> None:
        self._book: AddressBook | None = book
        self._place, self._authenticated = place, False

    def authenticate(self) -> None:
        """It is known who it is: it counts no longer as one of those who are not."""
        if not self._authenticated and self._book is not None:
            self._authenticated = True
            self._place.unauthenticated -= 1

    def leave(self) -> None:
        self.authenticate()
        book, self._book = self._book, None
        if book is not None:
            book.left(self._place)
