"""Who somebody is: a token (JWT, RFC 7519) is checked, and what it allows is read out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tickwire.core.errors import Unauthorized
from tickwire.core.rights import Identity

from .rights import BadRights, RightsTable, rights_in, rights_of

if TYPE_CHECKING:
    import jwt

    from .keys import Key

CLAIM = "tickwire"  # {"pub": [...], "sub": [...], "consume": [...]}
TOKEN_BYTES = 8 << 10  # of a token: what is longer is not even looked at
_IN_CLAIM = {"pub": "publish", "sub": "subscribe", "consume": "consume"}
_SUBJECT_BYTES = 255
_LEEWAY = 5.0  # seconds that the clock of who made a token may be ahead of ours
_OPTIONS: Any = {"require": ["exp"], "verify_aud": True, "strict_aud": False}


class UnknownKey(Unauthorized):
    """No key is known that the token could be signed with; a newer set of keys may have one."""


class Tokens:
    """Checks tokens against keys. `keys` and `tables` may be replaced while connections are open."""

    def __init__(
        self,
        keys: Iterable[Key] = (),
        tables: Iterable[RightsTable] = (),
        *,
        algorithms: Iterable[str] = (),
        issuers: Iterable[str] = (),
        audiences: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keys, self.tables = list(keys), tuple(tables)
        self.revoked: frozenset[str] = frozenset()  # token ids, and `sub:` with subjects
        self.accept(algorithms, issuers, audiences)
        self._clock = clock
        self._anonymous: tuple[tuple[RightsTable, ...], Identity] | None = None

    def accept(self, algorithms: Iterable[str], issuers: Iterable[str], audiences: Iterable[str]) -> None:
        """What tokens must be signed with, by whom, and for whom; none is any."""
        self._algorithms, self._issuers, self._audiences = set(algorithms), set(issuers), set(audiences)

    def identify(self, token: str) -> Identity:
        """Whose token it is. Raises Unauthorized, with a sentence that says nothing of the token itself."""
        if len(token) > TOKEN_BYTES:
            raise Unauthorized(f"the token is longer than {TOKEN_BYTES} bytes")
        claims = self._claims(token)
        subject, id = claims.get("sub"), claims.get("jti")
        if not isinstance(subject, str) or not 0 < len(subject.encode("utf-8", "replace")) <= _SUBJECT_BYTES:
            raise Unauthorized(f"the token has no subject (sub) of 1 to {_SUBJECT_BYTES} bytes")
        try:
            rights = self._rights(claims, subject)
        except BadRights as error:
            raise Unauthorized(f"the token's claim {CLAIM!r} is wrong: {error}") from None
        expires_at = float(claims["exp"])
        if expires_at <= self._clock():  # no leeway here: a connection ends at that moment too
            raise Unauthorized("the token has expired", "token_expired", subject)
        identity = Identity(subject, rights, expires_at, id if isinstance(id, str) else None, CLAIM in claims)
        self.check_revoked(identity)
        return identity

    def check_revoked(self, identity: Identity) -> None:
        """Raise Unauthorized where its token or its subject was revoked."""
        if self.is_revoked(identity):
            raise Unauthorized("the token, or its subject, was revoked", "token_revoked", identity.subject)

    def is_revoked(self, identity: Identity) -> bool:
        return f"sub:{identity.subject}" in self.revoked or (
            identity.token is not None and identity.token in self.revoked
        )

    def anonymous(self) -> Identity:
        """Somebody without a token: the same object for all of them, as long as the tables are."""
        if self._anonymous is None or self._anonymous[0] is not self.tables:
            self._anonymous = self.tables, Identity(None, rights_in(self.tables, None))
        return self._anonymous[1]

    def of_subject(self, subject: str) -> Identity:
        """Somebody whose subject is known otherwise: by a certificate."""
        return Identity(subject, rights_in(self.tables, subject))

    def anew(self, identity: Identity) -> Identity:
        """The same somebody with what the configuration says now, where that decides."""
        if identity.claims_rights:
            return identity
        rights = rights_in(self.tables, identity.subject)
        return Identity(identity.subject, rights, identity.expires_at, identity.token)

    def _rights(self, claims: dict[str, Any], subject: str) -> Any:
        """What the token says counts; where it says nothing, the configuration does."""
        if CLAIM not in claims:
            return rights_in(self.tables, subject)
        said = claims[CLAIM]
        if not isinstance(said, dict):
            raise BadRights("it must be a map with the lists pub, sub and consume")
        for name in said:
            if name not in _IN_CLAIM:
                raise BadRights(f"it has the key {str(name)[:20]!r}; there are pub, sub and consume")
        return rights_of(said, subject, _IN_CLAIM)

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt  # here and below: only a broker that is shown tokens needs it

        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("the token is not a JWT") from None
        algorithm, id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or (self._algorithms and algorithm not in self._algorithms):
            raise Unauthorized("the token is signed with an algorithm that is not accepted here")
        keys = _find(self.keys, id if isinstance(id, str) else None, algorithm)
        if not keys:
            raise UnknownKey("the token is signed with a key that is not known here")
        for key in keys:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise _why(error) from None
            except (ValueError, TypeError, RecursionError, OverflowError):
                raise Unauthorized("the token's claims are not as they should be") from None
        raise Unauthorized("the token's signature is wrong")

    def _decode(self, token: str, key: Key) -> dict[str, Any]:
        import jwt

        claims: dict[str, Any] = jwt.decode(
            token,
            key.value,
            algorithms=[key.algorithm],
            audience=list(self._audiences) or None,
            issuer=list(self._issuers) or None,
            leeway=_LEEWAY,
            options=_OPTIONS if self._audiences else _OPTIONS | {"verify_aud": False},
        )
        return claims


def _why(error: jwt.PyJWTError) -> Unauthorized:
    """In our own words: a library's may quote the token."""
    import jwt

    if isinstance(error, jwt.ExpiredSignatureError):
        return Unauthorized("the token has expired", "token_expired")
    if isinstance(error, jwt.ImmatureSignatureError):
        return Unauthorized("the token is not good yet (nbf or iat)")
    if isinstance(error, jwt.InvalidAudienceError):
        return Unauthorized("the token is for another audience (aud)")
    if isinstance(error, jwt.InvalidIssuerError):
        return Unauthorized("the token is from another issuer (iss)")
    if isinstance(error, jwt.MissingRequiredClaimError):
        return Unauthorized(f"the token has no claim {error.claim!r}")
    return Unauthorized("the token is not as it should be")


def _find(keys: Iterable[Key], id: str | None, algorithm: str) -> list[Key]:
    """Those that a token may have been signed with: with its id, or where either has none, of its algorithm."""
    fitting = [key for key in keys if key.algorithm == algorithm]
    named = [key for key in fitting if id is not None and key.id == id]
    return named or [key for key in fitting if id is None or key.id is None]
