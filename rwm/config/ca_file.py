"""The file of certificate authorities (PEM) for verifying a server's certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rwm.errors import ConfigError

SYSTEM_FILES = tuple(
    map(
        Path,
        (
            "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
            "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL before 9
            "/etc/ssl/ca-bundle.pem",  # openSUSE
            "/etc/pki/tls/cacert.pem",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL
            "/etc/ssl/cert.pem",
        ),
    )
)
"""Where systems keep their store in one file. restic searches the same list (Go, crypto/x509 for Linux)."""


class CaFile(NamedTuple):
    """A file in PEM, and the setting that named it; ``is_system``: restic finds it by itself."""

    path: Path
    source: str
    is_system: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.source})"


def choose_ca_file(
    configured: Path | None, environment: Mapping[str, str], is_file: Callable[[Path], bool] = Path.is_file
) -> CaFile | None:
    """``s3_ca_file``, else a variable that boto3 and aws read, else the system's store; None where it is no file."""
    if configured:
        return CaFile(configured, "s3_ca_file")
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):  # in the order of boto3 and aws
        if named := environment.get(variable):
            return CaFile(Path(named), variable)
    if named := environment.get("SSL_CERT_FILE"):
        return CaFile(Path(named), "SSL_CERT_FILE", is_system=True)
    return next((CaFile(path, "the system's store", is_system=True) for path in SYSTEM_FILES if is_file(path)), None)


def check_ca_file(file: CaFile) -> None:
    """Raise ConfigError if the file cannot be read, or has no certificate in it."""
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file.source} {file.path}: {error.strerror}", hint="name a file of certificates") from error
    if b"-----BEGIN CERTIFICATE-----" not in data and b"-----BEGIN TRUSTED CERTIFICATE-----" not in data:
        raise ConfigError(f"{file.source} {file.path}: no certificate is in it", hint="it must be a file in PEM")
