"""Run restic and aws: environment, arguments, exit codes. Secrets are passed in the environment only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from rwm import process
from rwm.config import BackupConfig, Config
from rwm.errors import ConfigError
from rwm.model import Outcome

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

_MEANING = {  # restic's documentation, "Exit codes"; 10 to 12 since restic 0.17
    1: "restic failed",
    10: "the repository does not exist: run `rwm restic init` once",
    11: "the repository is locked by another run",
    12: "the password is wrong",
    130: "restic was interrupted",
}

_PARTIAL = {"backup": "some files could not be read", "forget": "some snapshots could not be removed"}  # exit code 3

OnLine = Callable[[str, str], None]
"""Called with the name of a stream and a line of it."""


class Result(NamedTuple):
    """How restic ended. ``detail`` describes a failure; it is empty after success."""

    outcome: Outcome
    exit_code: int
    detail: str


def s3_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``base`` with the account of the configuration, without variables of any other account."""
    _, access_key, secret_key, region = config.s3_settings()
    inherited = {name: value for name, value in base.items() if name not in _OTHER_ACCOUNT}
    return inherited | {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": region,
    }


def environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for restic, with the repository and password of the configuration. Raises ConfigError."""
    variables = {name: value for name, value in s3_environment(config, base).items() if name not in _PASSWORDS}
    endpoint = config.required("s3_endpoint_url").rstrip("/")
    variables["RESTIC_REPOSITORY"] = f"s3:{endpoint}/{config.required('restic_bucket')}"
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


def exec_restic(config: Config, arguments: list[str]) -> NoReturn:
    """Replace this process by restic, so that output, signals and the terminal are restic's own."""
    process.exec_program([process.find_program("restic"), *arguments], environment(config))


def exec_aws(config: Config, arguments: list[str]) -> NoReturn:
    """Replace this process by the aws command, with the endpoint of the configuration."""
    endpoint = config.required("s3_endpoint_url")
    process.exec_program([process.find_program("aws"), "--endpoint-url", endpoint, *arguments], s3_environment(config))


def backup_arguments(name: str, backup: BackupConfig, config: Config) -> list[str]:
    """Arguments of ``restic backup`` for one entry of ``backups``."""
    tags = [*backup.tags, *([name] if config.autotags and name not in backup.tags else [])]
    return [
        "backup",
        *config.backup_extras,
        *backup.extras,
        *(f"--exclude={pattern}" for pattern in backup.excludes),
        *(f"--tag={tag}" for tag in tags),
        *(["--", *backup.filesdirs] if backup.filesdirs else []),
    ]


def forget_arguments(retention: Mapping[str, str]) -> list[str]:
    """Arguments of ``restic forget`` for a retention."""
    return ["forget", "--prune", *(f"--{name}={count}" for name, count in retention.items())]


def run_restic(config: Config, arguments: list[str], on_line: OnLine | None = None) -> Result:
    """Run restic and wait. Its output goes to the terminal, or line by line to ``on_line``."""
    completed = process.stream([process.find_program("restic"), *arguments], env=environment(config), on_line=on_line)
    return interpret_exit_code(completed.returncode, arguments[0])


def interpret_exit_code(code: int, command: str = "backup") -> Result:
    """The meaning of an exit code of ``restic backup`` or ``restic forget``; negative for a signal."""
    if code == 0:
        return Result("ok", 0, "")
    if code < 0:
        return Result("failed", code, f"restic was ended by signal {-code}")
    detail = _PARTIAL[command] if code == 3 else _MEANING.get(code, "restic failed")
    return Result("partial" if code == 3 else "failed", code, f"{detail} (exit code {code})")
