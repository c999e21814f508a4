"""The environment of restic and aws: server, account, repository and password. Secrets are passed there only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from rwm.config import Config
from rwm.errors import ConfigError

_OTHER_ACCOUNT = (
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "RESTIC_AWS_ASSUME_ROLE_ARN",
)
_PASSWORDS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE")


def s3_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``base`` with the account of the configuration, without variables of any other account."""
    _, access_key, secret_key, region = config.s3_settings()
    inherited = {name: value for name, value in base.items() if name not in _OTHER_ACCOUNT}
    return inherited | {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": region,
    }


def restic_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for restic, with the repository and password of the configuration. Raises ConfigError.

    restic gets a cache directory for each bucket. It tells repositories apart by their ids, which a mounted state or a
    restored bucket shares with the attacked bucket, and would believe there what it cached of the attack.
    """
    variables = {name: value for name, value in s3_environment(config, base).items() if name not in _PASSWORDS}
    endpoint, bucket = config.required("s3_endpoint_url").rstrip("/"), config.required("restic_bucket")
    cache = config.restic_cache_dir / quote(f"{urlsplit(endpoint).netloc}_{bucket}", safe=":")
    variables.setdefault("RESTIC_CACHE_DIR", str(cache))
    variables["RESTIC_REPOSITORY"] = f"s3:{endpoint}/{bucket}"
    if config.restic_password:
        variables["RESTIC_PASSWORD"] = config.restic_password.get_secret_value()
    elif config.restic_password_file:
        variables["RESTIC_PASSWORD_FILE"] = str(config.restic_password_file)
    elif config.restic_password_command:
        variables["RESTIC_PASSWORD_COMMAND"] = config.restic_password_command
    else:
        raise ConfigError(
            f"the configuration {config.path} sets no restic password",
            hint="set restic_password, restic_password_file or restic_password_command",
        )
    return variables


def password_length(config: Config) -> int | None:
    """Characters of the password that restic gets; None where only a command knows it, or its file is unreadable."""
    if config.restic_password:
        return len(config.restic_password.get_secret_value())
    if config.restic_password_file:
        try:
            return len(config.restic_password_file.read_text().strip())  # restic strips it too
        except (OSError, ValueError):
            return None
    return None
