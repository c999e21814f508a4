"""A machine to back up, with a restic whose exit code the configuration selects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rwm.backup.report import Report
from rwm.backup.run import run_backups
from rwm.config import Config, load_config
from rwm.index import Index
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


RESTIC = """#!/bin/sh
[ "$1" != version ] || { echo "restic 0.14.0 compiled with go1.19.8"; exit; }
echo "$*" >> "$RESTIC_LOG"
echo "restic says $1"
echo "restic warns of $1" >&2
case "$*" in *files-*) n="${*##*files-}"; echo "processed ${n%% *} files, 6 B in 0:00";; esac
case "$*" in *code-*) code="${*##*code-}"; exit "${code%% *}";; esac
[ "$1" != forget ] || exit "${FORGET_CODE:-0}"
"""


class BackupHost:
    """A machine to back up: its configuration, a fake restic, and the calls of that."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.log = directory / "restic.log"
        self.output: list[str] = []
        (directory / "bin").mkdir()
        restic = directory / "bin" / "restic"
        restic.write_text(RESTIC)
        restic.chmod(0o755)
        for tool in ("mv", "sleep", "wc"):
            (directory / "bin" / tool).symlink_to(shutil.which(tool) or "missing")
        monkeypatch.setenv("PATH", str(directory / "bin"))  # so that no real restic is found
        monkeypatch.setenv("RESTIC_LOG", str(self.log))
        self.s3 = MemoryS3(BUCKET)
        self.s3.policies[BUCKET] = protected_policy(
            BUCKET, "arn:aws:iam:::user/admin", [UserAccess("arn:aws:iam:::user/user1")]
        )
        self.s3.put(BUCKET, "config", b"{}")
        monkeypatch.setattr("rwm.s3.connect", lambda *_: self.s3)

    def config(self, backups: dict[str, Any], **more: Any) -> Config:
        path = self.directory / "rwm.conf"
        path.touch(mode=0o600)
        values = {
            "s3_endpoint_url": "http://127.0.0.1:9",
            "s3_access_key": "user1",
            "s3_secret_key": "s3-secret-value",
            "restic_bucket": BUCKET,
            "restic_password": "restic-password-value",
            "backups": {name: {"filesdirs": ["/etc"], **entry} for name, entry in backups.items()},
            "index_path": str(self.directory / "index.sqlite"),
            "lock_path": str(self.directory / "backup.lock"),
        }
        path.write_text(json.dumps({**values, **more}))
        return load_config(path, {})

    def open_index(self) -> Index:
        return Index.open(self.directory / "index.sqlite")

    def run(self, backups: dict[str, Any], *, open_index: Callable[[], Index] | None = None, **more: Any) -> Report:
        """Run all backups and collect status lines and output."""
        config = self.config(backups, **more)
        output = self.output
        return run_backups(
            config,
            config.backups,
            self.s3,
            open_index or self.open_index,
            output.append,
            lambda stream, line: output.append(f"{stream}: {line}"),
        )

    @property
    def calls(self) -> list[str]:
        """restic's command lines."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def trail(self) -> list[str]:
        """The lines that hooks wrote by :meth:`note`."""
        path = self.directory / "trail"
        return path.read_text().splitlines() if path.exists() else []

    def note(self, text: str) -> str:
        """A hook that appends the text to the trail."""
        return f'echo "{text}" >> {self.directory}/trail'


def restic_exits(code: int) -> dict[str, Any]:
    """An entry whose restic exits with this code."""
    return {"tags": [f"code-{code}"]}


def outcomes(report: Report) -> dict[str, str]:
    return {result.name: result.outcome for result in report.backups}
