"""A bucket in memory and an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.rwm.verify.verify_setup import VerifySetup


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[VerifySetup]:
    """Closed at the end."""
    setup = VerifySetup(tmp_path)
    yield setup
    setup.index.close()
