"""The configuration files and the environment in which the commands of the demo run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rwm.config import Credentials

BUCKET = "bucket1"
PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - of the demo's own repository
RESTIC_PASSWORD = {"RESTIC_PASSWORD": PASSWORD}
"""The environment in which restic opens the repository."""


def write_configurations(
    directory: Path, endpoint: str, accounts: Mapping[str, Credentials], bucket: str = BUCKET
) -> None:
    """Write ``admin.conf`` and ``rwm.conf`` (for user1, with a backup) to ``directory``, mode 0600."""
    backup: dict[str, Any] = {
        "restic_bucket": bucket,
        "restic_password": PASSWORD,
        "backups": {"data": {"filesdirs": [str(directory / "data")], "tags": ["demo"]}},
        "retention": {"keep-last": 10, "keep-within": "30d"},
    }
    for name, account, more in (("admin.conf", "admin", {}), ("rwm.conf", "user1", backup)):
        values = {
            "s3_endpoint_url": endpoint,
            "s3_access_key": accounts[account].access_key,
            "s3_secret_key": accounts[account].secret_key,
            "index_path": str(directory / "index" / "index.sqlite"),
            "lock_path": str(directory / "backup.lock"),
            "log_path": str(directory / "log"),
            **more,
        }
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(json.dumps(values, indent=2) + "\n")  # JSON is YAML


def command_environment(directory: Path) -> dict[str, str]:
    """Our environment without settings for S3, restic and RWM; restic's cache is in ``directory``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RESTIC_", "RWM_"))}
    return kept | {"RESTIC_CACHE_DIR": str(directory / "restic-cache")}
