"""Run command lines in this process, and capture their output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from rwm.cli.main import cli
from rwm.console import error_boundary


class Terminal:
    """Runs command lines; ``out`` and ``err`` are the output of the last one."""

    def __init__(self, capfd: pytest.CaptureFixture[str], directory: Path) -> None:
        self._capfd = capfd
        self.directory = directory
        self.out = self.err = ""

    def __call__(self, *words: str, command: click.Command = cli) -> int:
        code = error_boundary.run_command(command, "rwm", list(words))
        self.out, self.err = self._capfd.readouterr()
        return code

    def configure(self, name: str, **values: Any) -> None:
        """Write NAME.conf, mode 0600, with its own index."""
        path = self.directory / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "s3_endpoint_url": "http://127.0.0.1:9",
                    "s3_access_key": "user1",
                    "s3_secret_key": "s3-secret-value",
                    "restic_bucket": "bucket1",
                    "restic_password": "restic-password-value",
                    "index_path": str(self.directory / f"{name}.sqlite"),
                    **values,
                }
            )
        )
