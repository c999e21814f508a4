"""A configuration with secrets that are easy to find."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from rwm.config import Config

S3_SECRET, PASSWORD = "s3-secret-value", "restic-password-value"


def config(**values: Any) -> Config:
    return Config(
        **{
            "s3_endpoint_url": "http://127.0.0.1:7480",
            "s3_access_key": "user1",
            "s3_secret_key": SecretStr(S3_SECRET),
            "restic_bucket": "bucket1",
            "restic_password": SecretStr(PASSWORD),
            **values,
        }
    )
