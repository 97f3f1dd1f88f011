"""`tickwire token`: tokens and keys, for development and for a first try."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import click

from ..configuration.quantity import parse_duration
from ..configuration.settings import ALGORITHMS, SettingsError
from .client import Mistake

_WITH_KEYS = [algorithm for algorithm in ALGORITHMS if algorithm != "HS256"]
_PATTERNS: dict[str, Any] = {"metavar": "PATTERN", "multiple": True}


@click.command(short_help="Make a token, or a key to sign tokens with.")
@click.argument("subject", required=False)
@click.option("--pub", **_PATTERNS, help="Topics that it may publish to; more than one --pub is allowed.")
@click.option("--sub", **_PATTERNS, help="Topics that it may subscribe to.")
@click.option("--consume", **_PATTERNS, help="Topics that it may consume.")
@click.option("--for", "lasts", metavar="DURATION", default="1h", show_default=True, help="How long it is good.")
@click.option("--issuer", metavar="ISS", help="Who made it (iss).")
@click.option("--audience", metavar="AUD", help="Whom it is for (aud).")
@click.option("--id", "token_id", metavar="JTI", help="Its id (jti), by which it can be revoked; one is made up.")
@click.option("--secret", envvar="TICKWIRE_AUTH_SECRET", metavar="TEXT", show_envvar=True, help="Sign with a secret.")
@click.option(
    "--secret-file", metavar="FILE", envvar="TICKWIRE_AUTH_SECRET_FILE", help="Sign with the secret in a file."
)
@click.option("--key", metavar="FILE", help="Sign with a private key (PEM).")
@click.option("--new-secret", is_flag=True, help="Make a secret instead, and print it.")
@click.option("--new-key", metavar="FILE", help="Make a private key instead; its public key goes into FILE.pub.")
@click.option("--algorithm", type=click.Choice(_WITH_KEYS), default="EdDSA", show_default=True, help="Of --new-key.")
def token(subject: str | None, new_secret: bool, new_key: str | None, algorithm: str, **given: Any) -> int:
    """Make a token for SUBJECT, and print it.

    \b
    tickwire token --new-secret > secret
    tickwire serve --auth-secret-file secret
    tickwire token alice --sub 'prices.>' --pub 'chat.{sub}' --secret-file secret
    tickwire sub 'prices.>' --token TOKEN

    {sub} in a pattern stands for the subject. Without --pub, --sub and --consume the token says nothing of rights, and
    the [[rights]] tables of the broker decide. Tokens of yours may come from anything that makes JWTs:
    docs/security.md says what the broker looks at.
    """
    if new_secret:
        click.echo(secrets.token_urlsafe(32))
        return 0
    if new_key is not None:
        return _new_key(Path(new_key), algorithm)
    if not subject:
        raise Mistake("a token needs a SUBJECT: whose it is; --new-secret and --new-key make what it is signed with")
    click.echo(_token(subject, **given))
    return 0


def _token(
    subject: str, lasts: str, issuer: str | None, audience: str | None, token_id: str | None, **given: Any
) -> str:
    import jwt

    from ..door.rights import BadRights, check_patterns
    from ..door.tokens import CLAIM

    try:
        seconds = parse_duration(lasts)
    except ValueError:
        raise Mistake(f"--for is {lasts!r}, but must be a duration, such as 1h or 30d") from None
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iat": now, "exp": now + int(seconds)}
    claims["jti"] = token_id or secrets.token_urlsafe(9)
    claims |= {name: value for name, value in (("iss", issuer), ("aud", audience)) if value}
    rights = {name: list(given[name]) for name in ("pub", "sub", "consume") if given[name]}
    try:
        for name, patterns in rights.items():
            check_patterns(patterns, f"--{name}")
    except BadRights as error:
        raise Mistake(str(error)) from None
    if rights:
        claims[CLAIM] = rights
    key, algorithm = _signing_key(given["secret"], given["secret_file"], given["key"])
    return jwt.encode(claims, key, algorithm)


def _signing_key(secret: str | None, secret_file: str | None, key: str | None) -> tuple[Any, str]:
    from ..door.keys import of_secret

    if key is not None:
        return _private_key(Path(key))
    try:
        if secret_file is not None:
            data = Path(secret_file).read_bytes().strip()
            of_secret(data, f"the secret in {secret_file!r}")
            return data, "HS256"
        if secret:
            of_secret(secret.encode(), "the secret")
            return secret.encode(), "HS256"
    except OSError as error:
        raise Mistake(f"cannot read the secret in {secret_file!r}: {error.strerror}") from None
    except SettingsError as error:
        raise Mistake(str(error)) from None
    raise Mistake("a token is signed: name what with, by --secret-file FILE or --key FILE")


def _private_key(path: Path) -> tuple[Any, str]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Mistake(f"cannot read the key in {str(path)!r}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise Mistake(f"{str(path)!r} is not a private key (PEM) without a password") from None
    for kind, algorithm in (
        (rsa.RSAPrivateKey, "RS256"),
        (ec.EllipticCurvePrivateKey, "ES256"),
        (ed25519.Ed25519PrivateKey, "EdDSA"),
    ):
        if isinstance(key, kind):
            return key, algorithm
    raise Mistake(f"{str(path)!r} is a private key, but not of RSA, P-256 or Ed25519")


def _new_key(path: Path, algorithm: str) -> int:
    from cryptography.hazmat.primitives import serialization as out
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key: Any
    if algorithm == "RS256":
        key = rsa.generate_private_key(65_537, 2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(out.Encoding.PEM, out.PrivateFormat.PKCS8, out.NoEncryption())
    public = key.public_key().public_bytes(out.Encoding.PEM, out.PublicFormat.SubjectPublicKeyInfo)
    for target, data, mode in ((path, private, 0o600), (path.with_name(path.name + ".pub"), public, 0o644)):
        try:
            file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise Mistake(f"cannot write {str(target)!r}: {error.strerror}; keys are not overwritten") from None
        with open(file, "wb") as stream:
            stream.write(data)
    click.echo(json.dumps({"private": str(path), "public": f"{path}.pub", "algorithm": algorithm}))
    return 0
