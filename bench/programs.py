"""The programs that RWM is compared with: where they are, their versions and their environment."""

from __future__ import annotations

import os
from pathlib import Path

from bench import processes
from rwm import process
from rwm.config import Credentials

RCLONE_REMOTE = "X"
"""The name of the server in the environment of rclone."""


def rclone_environment(endpoint: str, credentials: Credentials) -> dict[str, str]:
    """An environment that defines the server as :data:`RCLONE_REMOTE` and ignores the configuration of the user."""
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": endpoint,
        "ACCESS_KEY_ID": credentials.access_key,
        "SECRET_ACCESS_KEY": credentials.secret_key,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
    }
    variables = {f"RCLONE_CONFIG_{RCLONE_REMOTE}_{name}": value for name, value in settings.items()}
    return clean_environment() | {"RCLONE_CONFIG": os.devnull} | variables


def clean_environment() -> dict[str, str]:
    """Our environment without the variables that aws and rclone read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}


def aws_program() -> str:
    """The aws of Debian, which ``make`` installs, or the one on the PATH."""
    debian = Path("/usr/bin/aws")
    return str(debian) if debian.exists() else process.find_program("aws")


def rclone_program() -> str:
    """The rclone that pip installed with our Python, or the one on the PATH."""
    return process.find_beside_python("rclone") or process.find_program("rclone")


def program_version(program: str, option: str = "--version") -> str:
    """Name and version: ``aws-cli/2.9.19``, ``rclone v1.75.2`` or ``restic 0.14.0``."""
    line = (processes.run_measured([program, option], clean_environment()).output.splitlines() or [""])[0]
    return line.split(" Python")[0].split(" compiled")[0]
