"""A terminal, and an S3 account in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

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
