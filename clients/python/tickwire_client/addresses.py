"""Where brokers are: addresses as people write them, and the next one to try."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

PATH = "/ws"
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class Addresses:
    """The addresses a client may use, tried in turns."""

    def __init__(self, urls: str | Iterable[str]) -> None:
        if isinstance(urls, (str, bytes)) or not isinstance(urls, Iterable):
            urls = [urls]
        self.urls = [complete(url) for url in urls]
        if not self.urls:
            raise ValueError("connect() needs at least one address, such as ws://127.0.0.1:8765")
        self._next = 0

    @property
    def current(self) -> str:
        return self.urls[self._next % len(self.urls)]

    def rotate(self) -> None:
        self._next += 1


def complete(url: str) -> str:
    """The URL with the broker's path where it has none. Raises ValueError where it is not one of a WebSocket."""
    if not isinstance(url, str):
        raise TypeError(f"an address is a str such as 'ws://127.0.0.1:8765', not {type(url).__name__}")
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a broker; write it as ws://127.0.0.1:8765")
    path = PATH if parts.path in ("", "/") else parts.path
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def advice(url: str) -> str:
    """What to do about an address where nobody answers."""
    port = urlsplit(url).port or (443 if url.startswith("wss:") else 80)
    return f"is a broker running there? start one with: tickwire serve --port {port}"
