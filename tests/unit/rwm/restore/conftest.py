"""Fixtures of restore."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.rwm.restore.restore_setup import RestoreSetup


@pytest.fixture
def setup(tmp_path: Path) -> RestoreSetup:
    return RestoreSetup(tmp_path)
