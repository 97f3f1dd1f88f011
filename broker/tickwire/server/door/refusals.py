"""What the door says to whom it does not let in: an answer to the upgrade, with a code and the limit that it was."""

from __future__ import annotations

import math

from tickwire.wire.errors import TickwireError
from tickwire.wire.limits import SUBPROTOCOL


class UpgradeRefused(TickwireError):
    """The HTTP request gets no WebSocket. `retry_after` is in seconds; None where it is no use to try again."""

    status = 400
    retry_after: float | None = None

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(f"{text} [{code}]")

    @property
    def headers(self) -> dict[str, str]:
        """What it says beside the text. The code is there for who reads no text."""
        said = {"X-Tickwire-Code": self.code, "Connection": "close"}
        if self.retry_after is not None:
            said["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return said


class BadUpgrade(UpgradeRefused):
    """The handshake is not one of RFC 6455 4.2.1."""

    def __init__(self, text: str) -> None:
        super().__init__("bad_upgrade", text)


class SubprotocolRequired(UpgradeRefused):
    def __init__(self) -> None:
        super().__init__("subprotocol_required", f"the upgrade must offer the subprotocol {SUBPROTOCOL}")


class UnsupportedVersion(UpgradeRefused):
    status = 426

    def __init__(self, version: str) -> None:
        super().__init__("bad_upgrade", f"Sec-WebSocket-Version must be 13, not {version[:16]!r}")

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"}


class Stopping(UpgradeRefused):
    status = 503

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__("going_away", "the broker is stopping")


class TokenInUrl(UpgradeRefused):
    def __init__(self, name: str) -> None:
        text = f"the URL has {name!r} in it: a token goes into the HELLO or the Authorization header, never into a URL"
        super().__init__("token_in_url", f"{text}, which ends up in logs; take this one out of use")


class UpgradeUnauthorized(UpgradeRefused):
    status = 401

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"WWW-Authenticate": 'Bearer realm="tickwire"'}


class OriginForbidden(UpgradeRefused):
    status = 403

    def __init__(self, origin: str) -> None:
        text = f"pages of {origin[:100]!r} may not connect; `origins` says whose may"
        super().__init__("origin_forbidden", text)


class AddressForbidden(UpgradeRefused):
    status = 403

    def __init__(self, address: str) -> None:
        super().__init__("address_forbidden", f"{address} may not connect")


class _TooMany(UpgradeRefused):
    status = 429
    retry_after = 1.0


class Full(UpgradeRefused):
    status = 503
    retry_after = 1.0

    def __init__(self, limit: int) -> None:
        super().__init__("too_many_connections", f"the broker has {limit} connections, which is its limit")


class MemoryFull(UpgradeRefused):
    status = 503
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("no_memory", "the broker has as much memory as it may")


class TooManyConnections(_TooMany):
    def __init__(self, key: str, limit: int, which: str = "already") -> None:
        self.limit = limit
        text = f"{key} has {limit} connections {which}, which is the limit for one address"
        super().__init__("too_many_connections", text)


class ConnectingTooFast(_TooMany):
    def __init__(self, key: str, per_second: float, wait: float) -> None:
        self.limit, self.retry_after = per_second, wait
        text = f"{key} has made more than {per_second:g} new connections a second, which is the limit for one address"
        super().__init__("connecting_too_fast", text)


class TlsFailed(UpgradeRefused):
    """Nobody is told so: there is no way to."""

    def __init__(self, why: str) -> None:
        super().__init__("tls_failed", f"the TLS handshake failed: {why}")
