"""The keys that tokens are checked with: a secret, a public key in PEM, or a JWKS (RFC 7517) from a file or a URL.

Imported where there are some: what it stands on takes 60 ms to load, and most brokers on a desk have no use for it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK

from ..configuration.setting import SettingsError
from ..configuration.settings import ALGORITHMS

SECRET_BYTES = 32  # RFC 7518 3.2: a key no shorter than the hash
RSA_BITS = 2048  # RFC 7518 3.3
_KEYS = 64  # of a JWKS: each without an id is tried
_FILE_BYTES = 1 << 20
_BLOCK = re.compile(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


class Key:
    """One key, and the only algorithm that it is for: a token does not choose."""

    __slots__ = ("algorithm", "id", "value")

    def __init__(self, value: PyJWK, algorithm: str, id: str | None = None) -> None:
        self.value, self.algorithm, self.id = value, algorithm, id


class BadKeys(ValueError):
    """What should be keys is none that tokens can be checked with; the text says why."""


def of_secret(secret: bytes, where: str) -> Key:
    """Raises SettingsError where it could be guessed."""
    if len(secret) < SECRET_BYTES:
        raise SettingsError(
            f"{where} has {len(secret)} bytes, but must have at least {SECRET_BYTES}: whoever guesses it makes tokens; "
            "`tickwire token --new-secret` makes one"
        )
    encoded = jwt.utils.base64url_encode(secret).decode()
    return Key(PyJWK({"kty": "oct", "k": encoded}, "HS256"), "HS256")


def of_file(path: Path) -> list[Key]:
    """Those of a file. Raises SettingsError, with a sentence, where there are none in it."""
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot read the keys in {str(path)!r}: {error.strerror}") from None
    try:
        return of_bytes(data)
    except BadKeys as error:
        raise SettingsError(f"{str(path)!r} {error}") from None


def of_bytes(data: bytes) -> list[Key]:
    """Those of a PEM or a JWKS. Raises BadKeys."""
    if len(data) > _FILE_BYTES:
        raise BadKeys(f"has more than {_FILE_BYTES} bytes, and cannot be a file of keys")
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_of_pem(block) for block in _BLOCK.findall(data) or [data]]
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadKeys("is neither a public key in PEM nor a JWKS") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise BadKeys('is no JWKS: it must be {"keys": [...]}')
    keys = [key for each in listed[:_KEYS] if (key := _of_jwk(each)) is not None]
    if not keys:
        raise BadKeys(f"has no key for {', '.join(ALGORITHMS)} in it that signs")
    return keys


def _of_pem(data: bytes) -> Key:
    if b"PRIVATE KEY" in data:
        raise BadKeys("is a private key: the broker needs the public one, and nobody but the maker of tokens this one")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeys("is not a public key in PEM") from None
    for kind, algorithm, jwk in _KINDS:
        if isinstance(key, kind) and _of_type(found := jwk(key, as_dict=True)) == algorithm:
            return _checked(found, algorithm)
    raise BadKeys("is a public key, but not of RSA, P-256 or Ed25519")


_KINDS: tuple[tuple[Any, str, Any], ...] = (
    (rsa.RSAPublicKey, "RS256", jwt.algorithms.RSAAlgorithm.to_jwk),
    (ec.EllipticCurvePublicKey, "ES256", jwt.algorithms.ECAlgorithm.to_jwk),
    (ed25519.Ed25519PublicKey, "EdDSA", jwt.algorithms.OKPAlgorithm.to_jwk),
)
_OF_TYPE = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA", ("oct", None): "HS256"}


def _of_jwk(jwk: Any) -> Key | None:
    """One of a JWKS; None where it is for something else, as some are."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    algorithm = _of_type(jwk)
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return None
    try:
        return _checked(jwk, algorithm)
    except BadKeys:
        return None


def _of_type(jwk: dict[str, Any]) -> str | None:
    """The algorithm that a key of that type and curve is for."""
    return _OF_TYPE.get((str(jwk.get("kty")), None if jwk.get("crv") is None else str(jwk["crv"])))


def _checked(jwk: dict[str, Any], algorithm: str) -> Key:
    try:
        key = PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise BadKeys(f"has a key that cannot be used: {error}") from None
    bits = getattr(key.key, "key_size", RSA_BITS)
    if algorithm == "RS256" and bits < RSA_BITS:
        raise BadKeys(f"has an RSA key of {bits} bits, fewer than {RSA_BITS}")
    if algorithm == "HS256" and len(key.key) < SECRET_BYTES:
        raise BadKeys(f"has a secret of {len(key.key)} bytes, fewer than {SECRET_BYTES}")
    id = jwk.get("kid")
    return Key(key, algorithm, id if isinstance(id, str) else None)
