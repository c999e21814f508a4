"""A terminal, and an S3 account in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from rwm import private
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal


@pytest.fixture
def rwm_(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return Terminal(capfd, tmp_path)


@pytest.fixture
def s3(rwm_: Terminal, monkeypatch: pytest.MonkeyPatch) -> MemoryS3:
    """An account with bucket1, and its configuration here.conf."""
    s3 = MemoryS3("bucket1")
    s3.put("bucket1", "config", b"{}")
    monkeypatch.setattr("rwm.s3.connect", lambda *_: s3)
    rwm_.configure("here")
    return s3


FillDisk = Callable[[int], None]
"""Gives that many temporary files, and makes the disk full for all others. They are tempfile's usual ones else."""


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> FillDisk:
    """A disk that can be filled: no temporary file after the first ones takes any data."""
    usual = private.open_spool

    def fill(left: int) -> None:
        numbers = count()
        monkeypatch.setattr(
            private, "open_spool", lambda: usual() if next(numbers) < left else os.open("/dev/full", os.O_RDWR)
        )

    return fill
