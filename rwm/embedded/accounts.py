"""The accounts of the embedded S3 server, and their policies."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from rwm.config import Credentials
from rwm.errors import RwmError, UsageError

ACCOUNTS_FILE = "s3.json"

USER2_BUCKETS = ("user2-*", "bucket2*")
"""Patterns of the buckets of user2. All others are those of user1."""

SHARED_BUCKETS = ("shared*",)
"""Patterns of the buckets of both users: the policy of such a bucket says which prefix each of them reaches."""

USER_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
"""What restic and ``rwm backup`` need: writes and delete markers, but not deleting versions or changing settings."""


def prepare_directory(directory: Path) -> None:
    """Create the directory, mode 0700. Raises UsageError if it holds anything but the data of a server."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()) and not (directory / ACCOUNTS_FILE).exists():
        raise UsageError(f"{directory} is neither empty nor the directory of an embedded S3 server")
    directory.chmod(0o700)


def load_accounts(directory: Path) -> dict[str, Credentials]:
    """Credentials by account name, from a file with mode 0600; created with random keys if it is missing."""
    path = directory / ACCOUNTS_FILE
    if not path.exists():
        text = json.dumps(_new_accounts(), indent=1)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    try:
        identities = json.loads(path.read_text())["identities"]
        return {
            each["name"]: Credentials(each["credentials"][0]["accessKey"], each["credentials"][0]["secretKey"])
            for each in identities
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise RwmError(f"{path} is not a valid accounts file: {error!r}") from error


def _new_accounts() -> dict[str, Any]:
    def identity(name: str, actions: list[str], policies: list[str]) -> dict[str, Any]:
        keys = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        return {"name": name, "credentials": [keys], "actions": actions, "policyNames": policies}

    def policy(name: str, *statements: dict[str, Any]) -> dict[str, str]:
        return {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": statements})}

    user2, shared = (
        [f"arn:aws:s3:::{pattern}" for pattern in patterns] for patterns in (USER2_BUCKETS, SHARED_BUCKETS)
    )
    return {
        "identities": [
            identity("admin", ["Admin"], []),
            identity("user1", [], ["rwm-user1"]),
            identity("user2", [], ["rwm-user2"]),
        ],
        "policies": [
            policy(
                "rwm-user1",
                {"Effect": "Allow", "Action": USER_ACTIONS, "Resource": ["arn:aws:s3:::*"]},
                {"Effect": "Deny", "Action": ["s3:*"], "Resource": user2},
            ),
            policy("rwm-user2", {"Effect": "Allow", "Action": USER_ACTIONS, "Resource": [*user2, *shared]}),
        ],
    }
