"""The opening handshake, read as RFC 6455 4.2.1 has it: aiohttp also takes what no honest client sends."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from aiohttp import HttpVersion11, web

from tickwire.wire.limits import SUBPROTOCOL

from .origins import Origins
from .refusals import BadUpgrade, OriginForbidden, SubprotocolRequired, TokenInUrl, UnsupportedVersion

_SECRETS = frozenset(
    ("token", "access_token", "id_token", "jwt", "auth", "authorization", "bearer", "api_key", "apikey")
)
_ONCE = ("Host", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Origin", "Authorization")


def check_handshake(request: web.Request, origins: Origins) -> None:
    """Raises UpgradeRefused, which says what is wrong. aiohttp has seen to it that this is HTTP, and a GET."""
    headers = request.headers
    # Not `request.query` where there is none: what it makes stays as long as the connection, 800 bytes.
    named = request.query if "?" in request.raw_path else ()
    secret = next((name for name in named if name.lower() in _SECRETS), None)
    if secret is not None:
        raise TokenInUrl(secret)
    if request.version != HttpVersion11:
        raise BadUpgrade("a WebSocket is opened with HTTP/1.1")
    for name in _ONCE:
        if len(headers.getall(name, ())) > 1:
            raise BadUpgrade(f"the request has more than one {name}")
    if not headers.get("Host"):
        raise BadUpgrade("the request has no Host")
    if headers.get("Upgrade", "").strip().lower() != "websocket" or "upgrade" not in _tokens(request, "Connection"):
        raise BadUpgrade(
            f"this is a WebSocket of {SUBPROTOCOL}: it takes `Upgrade: websocket` and `Connection: Upgrade`"
        )
    if headers.get("Sec-WebSocket-Version") != "13":
        raise UnsupportedVersion(headers.get("Sec-WebSocket-Version", ""))
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        raise BadUpgrade("Sec-WebSocket-Key must be 16 bytes in base64")
    if request.can_read_body or "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0":
        raise BadUpgrade("the request must not have a body")
    if not origins.allow(headers.get("Origin"), headers["Host"]):
        raise OriginForbidden(headers["Origin"])
    if SUBPROTOCOL not in _tokens(request, "Sec-WebSocket-Protocol", fold=False):
        raise SubprotocolRequired


def _tokens(request: web.Request, header: str, fold: bool = True) -> Iterator[str]:
    said = ",".join(request.headers.getall(header, ()))
    return (token.strip() for token in (said.lower() if fold else said).split(","))


def _is_key(text: str) -> bool:
    try:
        return len(text) == 24 and len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
