"""TLS: the certificate of the broker, and those of clients that show one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from ..configuration.setting import SettingsError
from ..configuration.settings import Settings

# With TLS 1.2, forward secrecy and authenticated encryption only: "intermediate" of Mozilla's server side TLS, 5.7,
# without what needs DHE parameters. TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_DAY = 86_400.0


class Tls:
    """A context for a server, whose certificate may be replaced while connections are open.

    Raises SettingsError, with a sentence, for a certificate that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._certificate = _read(settings)
        self.context = _context(settings)

    def reload(self, settings: Settings) -> Callable[[], None]:
        """What takes the files as they are now. Raises SettingsError where they cannot be used."""
        certificate = _read(settings)
        _context(settings)  # on one that nobody uses, where a failure does no harm

        def take() -> None:
            _load(self.context, settings)
            self._certificate = certificate

        return take

    def days_left(self, now: datetime | None = None) -> float:
        """Until the certificate expires."""
        left = self._certificate.not_valid_after_utc - (now or datetime.now(UTC))
        return left.total_seconds() / _DAY


def _context(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(context, settings)
    if settings.tls_client_ca:
        required = settings.tls_client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        path = Path(settings.tls_client_ca).expanduser()
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"tls_client_ca {_cannot(path, error)}") from None
    return context


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    certificate, key = _paths(settings)
    try:
        context.load_cert_chain(certificate, key, password=lambda: _no_password(key or certificate))
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise SettingsError(
                f"the key in {str(key)!r} is not that of the certificate in {str(certificate)!r}"
            ) from None
        if key is None:
            raise SettingsError(f"there is no key in {str(certificate)!r}: tls_key must name its file") from None
        raise SettingsError(f"tls_key {_cannot(key, error)}") from None
    except OSError as error:
        raise SettingsError(f"tls_key {_cannot(key or certificate, error)}") from None


def _read(settings: Settings) -> x509.Certificate:
    """The broker's own certificate, the first of the file, which must be good today."""
    path = _paths(settings)[0]
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise SettingsError(f"tls_certificate {_cannot(path, error)}") from None
    except (ValueError, IndexError):
        raise SettingsError(f"tls_certificate cannot be used: there is no certificate (PEM) in {str(path)!r}") from None
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        raise SettingsError(
            f"the certificate in {str(path)!r} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        )
    if certificate.not_valid_before_utc > now:
        raise SettingsError(
            f"the certificate in {str(path)!r} is good from {certificate.not_valid_before_utc:%Y-%m-%d} on"
        )
    return certificate


def _paths(settings: Settings) -> tuple[Path, Path | None]:
    certificate = Path(settings.tls_certificate).expanduser()
    return certificate, Path(settings.tls_key).expanduser() if settings.tls_key else None


def _no_password(path: Path) -> str:
    raise SettingsError(f"the key in {str(path)!r} has a password, for which nobody could be asked: take it off")


def _cannot(path: Path, error: OSError) -> str:
    why = "it is not PEM, or not what it should be" if isinstance(error, ssl.SSLError) else error.strerror
    return f"cannot be used: {str(path)!r}: {why}"
