"""A machine to back up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.rwm.backup.backup_host import BackupHost


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackupHost:
    return BackupHost(tmp_path, monkeypatch)
