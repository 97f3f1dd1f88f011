"""The door: looks at whoever wants to connect, before anything of theirs is acted on."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from tickwire.core.errors import Unauthorized
from tickwire.core.rights import Identity

from .. import logs
from ..configuration.settings import Settings
from ..memory import Memory
from ..open_files import most_connections
from .addresses import Address, AddressBook, AddressLimits, Entry, Network, is_in, keys_of, parse_address, parse_network
from .handshake import check_handshake
from .keyring import Keyring
from .origins import Origins
from .proxies import client_of
from .refusals import MemoryFull, UpgradeUnauthorized
from .revoked import Revoked
from .tokens import Tokens, UnknownKey

log = logs.logger("tickwire.door")

Answer = Identity | Awaitable[Identity]
# Who somebody is: called with the token, if there is one, and the request. None turns it away.
Hook = Callable[[str | None, web.Request], "Identity | Awaitable[Identity | None] | None"]

# Whoever sends one of these stands between somebody and us, and his being near says nothing of where that one is.
_OF_PROXIES = ("Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Via")
# What acts when the settings are reloaded; all else needs another start.
RELOADED = frozenset(
    (
        "allow",
        "anonymous",
        "auth_algorithms",
        "auth_audience",
        "auth_issuer",
        "auth_keys",
        "auth_revoked",
        "auth_secret",
        "auth_secret_file",
        "connections_per_48",
        "connections_per_ip",
        "connects_burst",
        "connects_per_second",
        "deny",
        "forwarded_header",
        "max_connections",
        "origins",
        "tls_certificate",
        "tls_key",
        "trusted_proxies",
        "unauthenticated_per_ip",
    )
)
_NO_TOKEN = "this broker lets nobody in without a token"


class Visitor:
    """Somebody who was let in, and perhaps known already: by the request, or by a certificate."""

    __slots__ = ("_door", "_request", "address", "entry", "is_local", "known")

    def __init__(self, door: Door, request: web.Request, address: str, is_local: bool, entry: Entry) -> None:
        self._door, self._request = door, request
        self.address, self.is_local, self.entry = address, is_local, entry
        self.known: Identity | None = None

    def identify(self, token: str | None) -> Answer:
        """Who it is. Raises Unauthorized; what takes time is awaited, and may raise it too."""
        if token is None and self.known is not None:
            return self._door.still(self.known)
        return self._door.identify(token, self._request, self.is_local)


class Door:
    """Who may come in. Raises SettingsError where something that the settings name cannot be used."""

    def __init__(self, settings: Settings, hook: Hook | None = None) -> None:
        self._settings, self._hook = settings, hook
        self._origins = Origins(settings.origins)
        self._trusted = _networks(settings.trusted_proxies)
        self.book = AddressBook(_address_limits(settings))
        self.memory = Memory(settings.max_memory)
        self.keyring = Keyring(settings)
        self.revoked = Revoked(settings.auth_revoked)
        self.tokens = Tokens(
            self.keyring.current,
            settings.rights,
            algorithms=settings.auth_algorithms,
            issuers=settings.auth_issuer,
            audiences=settings.auth_audience,
        )
        self.look_for_revoked()

    def client_of(self, request: web.Request, peer: str | None) -> Address | None:
        """Who is behind the connection, as far as those are trusted who say so."""
        header = self._settings.forwarded_header
        return client_of(parse_address(peer), request.headers.getall(header, ()), header, self._trusted)

    def is_local(self, request: web.Request, peer: str | None) -> bool:
        """Whether it comes from this machine, and nobody has only passed it on from there."""
        return _is_near(request, self.client_of(request, peer))

    def trusts(self, peer: Address | None) -> bool:
        """Whether it is one of the proxies that say who the client is."""
        return is_in(peer, self._trusted)

    def count(self, address: Address | None, shown: str | None, now: float) -> Entry:
        """Count one more connection of an address. Raises UpgradeRefused with the limit that it was."""
        if self.memory.full:
            raise MemoryFull
        return self.book.enter(address, keys_of(address, shown), now)

    async def enter(self, request: web.Request, peer: str | None, entry: Entry | None, now: float) -> Visitor:
        """Let somebody in, who is to leave by `visitor.entry`: the one that its connection has, or one of its own.

        Raises UpgradeRefused.
        """
        address = self.client_of(request, peer)
        place = self.count(address, peer, now) if entry is None else entry
        try:
            check_handshake(request, self._origins)
            visitor = Visitor(self, request, str(address or peer or "unknown"), _is_near(request, address), place)
            visitor.known = await self._known(request, visitor.is_local)
        except BaseException:
            if entry is None:
                place.leave()
            raise
        return visitor

    def identify(self, token: str | None, request: web.Request, is_local: bool) -> Answer:
        if self._hook is not None:
            return self._ask_hook(self._hook, token, request)
        if token is None:
            return self._anonymous(is_local)
        try:
            return self.tokens.identify(token)
        except UnknownKey:
            if not self.keyring.may_renew:
                raise
            return self._identify_anew(token)

    def still(self, identity: Identity) -> Identity:
        """Somebody who was known a moment ago. Raises Unauthorized where that is over."""
        self.tokens.check_revoked(identity)
        return self.anew(identity)

    def anew(self, identity: Identity) -> Identity:
        """Somebody whom a hook did not answer for, with the rights that the configuration gives now."""
        return identity if self._hook is not None else self.tokens.anew(identity)

    def reload(self, settings: Settings) -> Callable[[], None]:
        """What takes over the settings that RELOADED names: keys, rights and what was revoked hold for those who are
        connected too, the others for those who come. Raises SettingsError."""
        take_keys, origins = self.keyring.read(settings), Origins(settings.origins)
        trusted, limits = _networks(settings.trusted_proxies), _address_limits(settings)
        revoked = self.revoked.at(settings.auth_revoked)
        revoked.look()

        def take() -> None:
            take_keys()
            self._settings, self._origins, self._trusted, self.book.limits = settings, origins, trusted, limits
            self.revoked = revoked
            tokens = self.tokens
            tokens.keys, tokens.tables, tokens.revoked = self.keyring.current, settings.rights, revoked.entries
            tokens.accept(settings.auth_algorithms, settings.auth_issuer, settings.auth_audience)

        return take

    def look_for_revoked(self) -> bool:
        changed = self.revoked.look()
        self.tokens.revoked = self.revoked.entries
        return changed

    async def start(self) -> None:
        await self.keyring.start()
        self.tokens.keys = self.keyring.current

    def stop(self) -> None:
        self.keyring.stop()

    async def _known(self, request: web.Request, is_local: bool) -> Identity | None:
        """Who the request itself says it is, in its Authorization header or by a certificate."""
        said = request.headers.get("Authorization")
        if said is None:
            name = _certificate_name(request.transport)
            if name is None:
                return None
            try:
                return self.still(self.tokens.of_subject(name))
            except Unauthorized as error:
                raise UpgradeUnauthorized(error.code, error.text) from None
        scheme, _, token = said.partition(" ")
        try:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("the Authorization header must be `Bearer` and a token")
            answer = self.identify(token.strip(), request, is_local)
            return answer if isinstance(answer, Identity) else await answer
        except Unauthorized as error:
            raise UpgradeUnauthorized(error.code, error.text) from None

    def _anonymous(self, is_local: bool) -> Identity:
        mode = self._settings.anonymous
        if mode == "always" or (
            is_local and (mode == "loopback" or (mode == "auto" and not self._settings.authenticates))
        ):
            return self.tokens.anonymous()
        hint = "" if self._settings.authenticates else ", and none is configured; see docs/security.md"
        raise Unauthorized(_NO_TOKEN + hint)

    async def _identify_anew(self, token: str) -> Identity:
        await self.keyring.renew()
        self.tokens.keys = self.keyring.current
        return self.tokens.identify(token)

    def _ask_hook(self, hook: Hook, token: str | None, request: web.Request) -> Answer:
        """What goes wrong in the application's function is in the log, and whoever was asked about does not get in."""
        try:
            answer: Any = hook(token, request)
        except Exception as error:
            raise _gone_wrong(error) from None
        return self._await_hook(answer) if inspect.isawaitable(answer) else self._checked(answer)

    async def _await_hook(self, answer: Awaitable[Identity | None]) -> Identity:
        try:
            return self._checked(await answer)
        except Exception as error:
            raise _gone_wrong(error) from None

    def _checked(self, answer: Identity | None) -> Identity:
        if answer is None:
            raise Unauthorized("the application does not know who this is")
        if not isinstance(answer, Identity):
            raise _gone_wrong(TypeError(f"it returned {type(answer).__name__}, but must return an Identity, or None"))
        return self.still(answer)


def _gone_wrong(error: Exception) -> Unauthorized:
    if isinstance(error, Unauthorized):
        return error
    log.error("the authenticate function failed", why=f"{type(error).__name__}: {error}")
    return Unauthorized("the broker could not find out who this is")


def _is_near(request: web.Request, client: Address | None) -> bool:
    """Whether the client is on this machine, and nobody stands between who may only be passing it on."""
    return client is not None and client.is_loopback and not _is_passed_on(request)


def _is_passed_on(request: web.Request) -> bool:
    headers = request.headers
    return any(name in headers for name in _OF_PROXIES) or any(
        name.lower().startswith("x-forwarded-") for name in headers
    )


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(parse_network(text) for text in texts)


def _address_limits(settings: Settings) -> AddressLimits:
    cap = settings.connections_per_ip
    return AddressLimits(
        total=settings.max_connections or most_connections(),
        connections=cap,
        wide_connections=settings.connections_per_48 or 4 * cap,
        unauthenticated=settings.unauthenticated_per_ip or max(1, cap // 2),
        per_second=settings.connects_per_second,
        burst=settings.connects_burst or max(2 * cap, 4 * settings.connects_per_second),
        allow=_networks(settings.allow),
        deny=_networks(settings.deny),
    )


def _certificate_name(transport: Any) -> str | None:
    """The name in the certificate that the client showed, which TLS has checked: its first DNS name, or its CN."""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return None
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "DNS":
            return str(name)
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if names else None
