"""Certificates for a test, of an authority of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as out
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Files:
    certificate: str
    key: str


class Authority:
    """Its own certificate is in `file`."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory, self._key = directory, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = str(directory / f"{name}.pem")
        certificate = self._signed(
            self._name, self._key.public_key(), timedelta(days=9), timedelta(days=-9), None, ca=True
        )
        Path(self.file).write_bytes(certificate.public_bytes(out.Encoding.PEM))

    def issue(
        self, name: str, lasts: timedelta = timedelta(days=9), since: timedelta = timedelta(days=-9), stem: str = ""
    ) -> Files:
        """A certificate of that common name, for 127.0.0.1, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        certificate = self._signed(subject, key.public_key(), lasts, since, alternative)
        files = Files(*(str(self._directory / f"{stem or name}.{kind}") for kind in ("crt", "key")))
        Path(files.certificate).write_bytes(certificate.public_bytes(out.Encoding.PEM))
        Path(files.key).write_bytes(key.private_bytes(out.Encoding.PEM, out.PrivateFormat.PKCS8, out.NoEncryption()))
        return files

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lasts: timedelta,
        since: timedelta,
        alternative: x509.SubjectAlternativeName | None,
        ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, hashes.SHA256())
