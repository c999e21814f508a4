"""New restic repositories whose key is derived at once.

`restic init` makes a key that costs half a second of a core, measured on the host, and every later command pays that.
What tests say of `init` itself they say with restic's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from rwm.s3 import S3

COST = {"N": 2, "r": 1, "p": 1}
"""The smallest one of scrypt."""
POLYNOMIAL = "25b468838dcb75"
"""An irreducible one, by which restic cuts files: that of restic's description of its format."""


def create(directory: Path, password: str) -> None:
    """Make a repository in a new directory."""
    for name in ("data", "index", "keys", "locks", "snapshots"):
        (directory / name).mkdir(parents=True)
    for key, content in initial_files(password).items():
        (directory / key).write_bytes(content)


def create_in(s3: S3, location: str, password: str) -> None:
    """Make a repository in a bucket, or below a prefix of one: ``bucket`` or ``bucket/prefix``."""
    bucket, _, prefix = location.partition("/")
    for key, content in initial_files(password).items():
        s3.put(bucket, f"{prefix}/{key}" if prefix else key, content)


def initial_files(password: str) -> dict[str, bytes]:
    """What `restic init` writes, in its order: a key for the password, and the configuration."""
    salt, master = secrets.token_bytes(64), secrets.token_bytes(64)
    derived = hashlib.scrypt(password.encode(), salt=salt, n=COST["N"], r=COST["r"], p=COST["p"], dklen=64)
    secret = {"mac": {"k": _text(master[32:48]), "r": _text(master[48:])}, "encrypt": _text(master[:32])}
    key = {
        "created": "2024-01-01T00:00:00.123456789Z",
        "username": "user",
        "hostname": "host",
        "kdf": "scrypt",
        **COST,
        "salt": _text(salt),
        "data": _text(_encrypted(derived, secret)),
    }
    config = {"version": 2, "id": secrets.token_hex(32), "chunker_polynomial": POLYNOMIAL}
    key_file = _json(key)
    return {f"keys/{hashlib.sha256(key_file).hexdigest()}": key_file, "config": _encrypted(master, config)}


def _encrypted(key: bytes, value: Mapping[str, Any]) -> bytes:
    """AES-256 in counter mode and Poly1305-AES: a nonce, the text, and its code. 32 + 16 + 16 bytes of key."""
    nonce = secrets.token_bytes(16)
    text = Cipher(algorithms.AES(key[:32]), modes.CTR(nonce)).encryptor().update(_json(value))
    once = Cipher(algorithms.AES(key[32:48]), modes.ECB()).encryptor().update(nonce)
    return nonce + text + Poly1305.generate_tag(key[48:] + once, text)


def _json(value: Mapping[str, Any]) -> bytes:
    """As restic writes it, so that sizes are restic's too."""
    return json.dumps(value, separators=(",", ":")).encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
