"""The TLS certificate that closes the gRPC services of the embedded S3 server to other users of the host."""

from __future__ import annotations

from pathlib import Path

from rwm import process
from rwm.errors import RwmError


def ensure_certificate(directory: Path, openssl: str) -> tuple[Path, Path]:
    """Self-signed certificate and key for gRPC, created if missing; openssl gives the key mode 0600."""
    cert, key = directory / "grpc.crt", directory / "grpc.key"
    if not cert.exists():
        command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=rwm"
        done = process.run([*command.split(), "-keyout", str(key), "-out", str(cert)])
        if done.returncode != 0:
            raise RwmError(f"openssl could not create a certificate: {done.stderr.strip()[-200:]}")
    return cert, key
