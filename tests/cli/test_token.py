"""`tickwire token` and `tickwire check-config`."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import jwt
import pytest

from .shell import broker, running, tickwire


def test_a_secret_a_broker_and_a_token_of_the_help_work_together(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(tickwire("token", "--new-secret").out)
    made = tickwire(
        "token", "alice", "--sub", "prices.>", "--pub", "chat.{sub}", "--secret-file", str(secret)
    ).out.strip()

    with broker(0, "--auth-secret-file", str(secret)) as (_, url):
        sent = tickwire("pub", "chat.alice", "1", "--url", url, "--token", made)
        assert (sent.code, sent.err) == (0, "")
        refused = tickwire("pub", "chat.bob", "1", "--url", url, TICKWIRE_TOKEN=made)
        assert refused.code == 1
        assert "may not publish to 'chat.bob' [forbidden]" in refused.err
        without = tickwire("pub", "chat.alice", "1", "--url", url)
        assert without.code == 1
        assert "this broker lets nobody in without a token" in without.err
        assert made not in refused.err


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_new_key_signs_what_its_public_key_checks(algorithm: str, tmp_path: Path) -> None:
    key = tmp_path / "my key.pem"

    made = json.loads(tickwire("token", "--new-key", str(key), "--algorithm", algorithm).out)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    token = tickwire(
        "token", "alice", "--key", str(key), "--for", "5m", "--issuer", "us", "--audience", "all"
    ).out.strip()
    claims = jwt.decode(token, Path(made["public"]).read_bytes(), [algorithm], audience="all", issuer="us")
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("alice", 300)
    assert "tickwire" not in claims
    again = tickwire("token", "--new-key", str(key))
    assert (again.code, "keys are not overwritten" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "needs a SUBJECT"),
        (("alice",), "name what with"),
        (("alice", "--secret", "short"), "at least 32"),
        (("alice", "--secret-file", "/nowhere"), "cannot read the secret"),
        (("alice", "--key", "/nowhere"), "cannot read the key"),
        (("alice", "--secret", "x" * 32, "--for", "soon"), "must be a duration"),
        (("alice", "--secret", "x" * 32, "--sub", "a..b"), "has an empty segment"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_sentence(arguments: tuple[str, ...], why: str) -> None:
    ended = tickwire("token", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err
    assert ended.err.count("\n") == 1


def test_a_configuration_is_checked_without_a_start(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('port = 0\nauth_secret = "0123456789abcdef0123456789abcdef"\n[[rights]]\nsubject = "*"\n')
    bad.write_text("conections_per_ip = 5\n")

    assert tickwire("check-config", "--config", str(good)).out == "the configuration is good\n"
    for arguments, why in (
        (("--config", str(bad)), "did you mean connections_per_ip?"),
        (("--config", str(good), "--tls-key", "/nowhere"), "tls_certificate is not"),
        (("--connections-per-ip", "many"), "must be an integer"),
        (("--host", "192.0.2.1", "--port", "0"), "has no such address"),
        (("--data", str(good)), "is not a directory"),
        (("--data", "/proc/x"), "cannot be written"),
    ):
        ended = tickwire("check-config", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
    with broker(0, "--data", str(tmp_path / "data")) as (_, url):
        ended = tickwire("check-config", "--port", "0", "--data", str(tmp_path / "data"))
        assert (ended.code, "is in use by process" in ended.err) == (2, True)
        ended = tickwire("check-config", "--port", url.rpartition(":")[2].removesuffix("/ws"))
        assert (ended.code, "the address is in use" in ended.err) == (2, True)


def test_a_hangup_reads_the_rights_anew_and_what_is_wrong_then_changes_nothing(tmp_path: Path) -> None:
    config, secret = tmp_path / "tickwire.toml", "0123456789abcdef0123456789abcdef"
    token = tickwire("token", "alice", "--secret", secret).out.strip()

    def write(topics: str) -> None:
        config.write_text(f'port = 0\nauth_secret = "{secret}"\n[[rights]]\nsubject = "*"\npublish = {topics}\n')

    write('["a"]')
    with running("serve", "--config", str(config)) as serve:
        url = serve.out().split()[-1]

        def may(topic: str) -> bool:
            return tickwire("pub", topic, "1", "--url", url, "--token", token).code == 0

        assert (may("a"), may("b")) == (True, False)
        write('["b"]')
        serve.process.send_signal(signal.SIGHUP)
        serve.err_until("reloaded")
        assert (may("a"), may("b")) == (False, True)
        write('"b"')
        serve.process.send_signal(signal.SIGHUP)
        assert "must be a list of patterns" in serve.err_until("cannot reload")
        assert (may("a"), may("b")) == (False, True)
