"""Tokens: which are good, what they allow, and that nothing else is taken for one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization as out
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from tickwire.core.errors import Unauthorized
from tickwire.core.rights import NOTHING, Rights
from tickwire.server.configuration.setting import SettingsError
from tickwire.server.door import keys
from tickwire.server.door.rights import RightsTable, read_tables
from tickwire.server.door.tokens import Tokens, UnknownKey

NOW = 1_800_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
RSA, EC, ED = (
    rsa.generate_private_key(65_537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)
PRIVATE = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def pem(private: Any) -> bytes:
    data: bytes = private.public_key().public_bytes(out.Encoding.PEM, out.PublicFormat.SubjectPublicKeyInfo)
    return data


def made(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {"sub": "alice", "exp": NOW + 60} | claims
    return jwt.encode({name: value for name, value in said.items() if value is not None}, key, algorithm, headers)


def tokens(*more: keys.Key, tables: tuple[RightsTable, ...] = (), **options: Any) -> Tokens:
    return Tokens([keys.of_secret(SECRET, "x"), *more], tables, clock=lambda: NOW, **options)


def refused(check: Tokens, token: str) -> Unauthorized:
    with pytest.raises(Unauthorized) as caught:
        check.identify(token)
    assert token not in caught.value.text
    return caught.value


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyJWT takes for the time."""
    from datetime import UTC, datetime

    import jwt.api_jwt as module

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(NOW, tz or UTC)

    monkeypatch.setattr(module, "datetime", Stopped)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_each_algorithm_is_checked_with_a_pem_or_a_jwks(algorithm: str, tmp_path: Path) -> None:
    private = PRIVATE[algorithm]
    (tmp_path / "key.pub").write_bytes(pem(private))
    kinds = {
        "RS256": jwt.algorithms.RSAAlgorithm,
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
    }
    jwk = kinds[algorithm].to_jwk(private.public_key(), as_dict=True)
    others = [{"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}, {"kty": "what"}, 5]
    (tmp_path / "jwks").write_text(json.dumps({"keys": [*others, jwk | {"kid": "one"}]}))

    by_pem, by_jwks = (tokens(*keys.of_file(tmp_path / name)) for name in ("key.pub", "jwks"))

    for check, headers in ((by_pem, None), (by_pem, {"kid": "any"}), (by_jwks, {"kid": "one"}), (by_jwks, None)):
        assert check.identify(made(private, algorithm, headers)).subject == "alice"
    with pytest.raises(UnknownKey):
        by_jwks.identify(made(private, algorithm, {"kid": "two"}))


def test_a_secret_is_no_public_key_and_none_is_no_algorithm() -> None:
    """Signed with the public key as a secret (CVE-2016-5431), or not signed at all."""
    check = Tokens(keys.of_bytes(pem(RSA)), clock=lambda: NOW)
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, {"sub": "a", "exp": NOW + 9})
    )

    import hashlib
    import hmac

    forged_head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()
    mac = hmac.new(pem(RSA), f"{forged_head}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{forged_head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    for token in (f"{head}.{body}.", forged, made()):
        assert refused(check, token).code == "unauthorized"


@pytest.mark.parametrize(
    ("claims", "code", "why"),
    [
        ({"exp": NOW}, "token_expired", "expired"),
        ({"exp": NOW - 1}, "token_expired", "expired"),
        ({"exp": None}, "unauthorized", "no claim 'exp'"),
        ({"exp": "soon"}, "unauthorized", "not as it should be"),
        ({"exp": 1e400}, "unauthorized", "not as"),
        ({"nbf": NOW + 30}, "unauthorized", "not good yet"),
        ({"iat": NOW + 30}, "unauthorized", "not good yet"),
        ({"sub": None}, "unauthorized", "no subject"),
        ({"sub": ""}, "unauthorized", "no subject"),
        ({"sub": "x" * 256}, "unauthorized", "no subject"),
        ({"tickwire": []}, "unauthorized", "must be a map"),
        ({"tickwire": {"sub": "prices.>"}}, "unauthorized", "must be a list"),
        ({"tickwire": {"sub": [1]}}, "unauthorized", "must be a list"),
        ({"tickwire": {"sub": ["a..b"]}}, "unauthorized", "empty segment"),
        ({"tickwire": {"sub": ["a"] * 65}}, "unauthorized", "limit of 64"),
    ],
)
def test_a_token_whose_claims_are_wrong_is_refused(claims: dict[str, Any], code: str, why: str) -> None:
    if claims.get("exp") == 1e400:
        body = json.dumps({"sub": "alice", "exp": 1}).replace('"exp": 1', '"exp": 1e400')
        token = jwt.api_jws.encode(body.encode(), SECRET, "HS256")
    else:
        token = made(**claims)
    error = refused(tokens(), token)

    assert error.code == code
    assert why in error.text


def test_issuer_and_audience_are_looked_at_where_they_are_set() -> None:
    check = tokens(issuers=["us"], audiences=["tickwire", "all"])

    assert check.identify(made(iss="us", aud="all")).subject == "alice"
    assert check.identify(made(iss="us", aud=["x", "tickwire"])).subject == "alice"
    assert "issuer" in refused(check, made(iss="them", aud="all")).text
    assert "'iss'" in refused(check, made(aud="all")).text
    assert "audience" in refused(check, made(iss="us", aud="others")).text
    assert "'aud'" in refused(check, made(iss="us")).text
    assert tokens().identify(made(iss="whoever", aud="whatever")).subject == "alice"


def test_only_the_algorithms_of_the_settings_are_accepted() -> None:
    check = tokens(*keys.of_bytes(pem(ED)), algorithms=["EdDSA"])

    assert check.identify(made(ED, "EdDSA")).subject == "alice"
    assert "algorithm" in refused(check, made()).text


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", "x" * 9_000, "é.é.é", "[]", "\x00.\x00.\x00"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        tokens().identify(token)


def test_a_critical_extension_that_nobody_knows_is_refused() -> None:
    refused(tokens(), made(headers={"crit": ["exp"], "exp": 1}))


def test_a_token_says_what_it_is_good_for_with_the_subject_in_its_place() -> None:
    identity = tokens().identify(made(jti="7", tickwire={"sub": ["prices.>", "to.{sub}"], "pub": ["from.{sub}.*"]}))

    assert (identity.subject, identity.expires_at, identity.token) == ("alice", NOW + 60, "7")
    rights = identity.rights
    assert rights.subscribe is not None
    assert rights.subscribe.patterns == ("prices.>", "to.alice")
    assert rights.publish is not None
    assert rights.publish.patterns == ("from.alice.*",)
    assert rights.consume is not None
    assert rights.consume.patterns == ()


@pytest.mark.parametrize("subject", ["a.b", "*", ">", "a b", "\x00", "."])
def test_a_subject_that_is_no_plain_segment_gets_nothing_by_its_name(subject: str) -> None:
    identity = tokens().identify(made(sub=subject, tickwire={"sub": ["to.{sub}", "{sub}", "prices.*"]}))

    assert identity.rights.subscribe is not None
    assert [each for each in identity.rights.subscribe.patterns if "prices" not in each] == []


def test_where_a_token_says_nothing_the_first_table_does_that_is_for_its_subject() -> None:
    tables = read_tables(
        [
            {"subject": "game-*", "publish": ["games.{sub}.>"]},
            {"subject": "*", "subscribe": ["games.>"]},
            {"anonymous": True, "subscribe": ["news"]},
        ]
    )
    check = tokens(tables=tables)

    game, reader = check.identify(made(sub="game-7")), check.identify(made())
    assert game.rights.publish is not None
    assert game.rights.publish.patterns == ("games.game-7.>",)
    assert reader.rights.subscribe is not None
    assert reader.rights.subscribe.patterns == ("games.>",)
    anonymous = check.anonymous().rights.subscribe
    assert anonymous is not None
    assert anonymous.patterns == ("news",)
    own = check.identify(made(tickwire={"sub": [">"]}))
    assert own.rights.subscribe is not None
    assert own.rights.subscribe.patterns == (">",)
    assert tokens(tables=tables[:1]).identify(made()).rights == NOTHING
    assert tokens().identify(made()).rights == Rights()


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ("x", "must be a list of tables"),
        ([5], "table 1 of rights is 5"),
        ([{}], "either a subject"),
        ([{"subject": "a", "anonymous": True}], "either a subject"),
        ([{"subject": 5}], "either a subject"),
        ([{"subject": "a", "publsh": []}], "'publsh'"),
        ([{"subject": "a"}, {"subject": "b", "publish": ["a..b"]}], "table 2 of rights: publish has 'a..b'"),
        ([{"subject": "a", "publish": "a"}], "must be a list of patterns"),
    ],
)
def test_a_table_that_is_wrong_stops_the_start(tables: Any, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_tables(tables)
    assert why in str(caught.value)


def test_what_was_revoked_is_refused() -> None:
    check = tokens()
    check.revoked = frozenset({"7", "sub:bob"})

    assert check.identify(made(jti="8")).subject == "alice"
    assert refused(check, made(jti="7")).code == "token_revoked"
    assert refused(check, made(sub="bob")).code == "token_revoked"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither a public key"),
        (b"[]", "no JWKS"),
        (b'{"keys": 5}', "no JWKS"),
        (b'{"keys": []}', "has no key"),
        (b"[" * 100_000, "neither"),
        (b"-----BEGIN PRIVATE KEY-----\n", "is a private key"),
        (b"-----BEGIN PUBLIC KEY-----\n", "is not a public key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not of RSA, P-256 or Ed25519"),
        (pem(rsa.generate_private_key(65_537, 1024)), "1024 bits"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}).encode(), "has no key"),
    ],
    ids=range(10),
)
def test_what_are_no_keys_is_told(data: bytes, why: str) -> None:
    with pytest.raises(keys.BadKeys) as caught:
        keys.of_bytes(data)
    assert why in str(caught.value)


def test_a_secret_that_could_be_guessed_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="has 31 bytes, but must have at least 32"):
        keys.of_secret(SECRET[1:], "auth_secret")


@given(
    st.text(max_size=60)
    | st.binary(max_size=60).map(
        lambda data: ".".join(["eyJhbGciOiJIUzI1NiJ9", base64.urlsafe_b64encode(data).decode(), ""])
    )
)
def test_whatever_comes_is_refused_in_our_own_words(token: str) -> None:
    with pytest.raises(Unauthorized):
        tokens().identify(token)


def test_a_file_may_have_several_keys_for_when_they_change() -> None:
    check = tokens(*keys.of_bytes(pem(RSA) + b"# the next\n" + pem(ED)))

    for private, algorithm in ((RSA, "RS256"), (ED, "EdDSA")):
        shown = jwt.encode({"sub": "alice", "exp": NOW + 60}, private, algorithm)
        assert check.identify(shown).subject == "alice"


def test_a_subject_of_the_settings_has_no_brackets() -> None:
    assert RightsTable("[ab]dmin").is_for("[ab]dmin")
    assert not RightsTable("[ab]dmin").is_for("admin")
    assert RightsTable("a*n?").is_for("admins")
