"""The file of the original tool as the peer of state files."""

from __future__ import annotations

import io

from bench import year
from bench.simulated_repository import SimulatedRepository
from tests.unit.states import read_original

OBJECTS = 2000


def test_a_file_of_the_original_tool_can_be_read_back() -> None:
    repository = SimulatedRepository(OBJECTS)
    target = io.BytesIO()
    year.write_original(repository.info, repository.entries(), target)
    target.seek(0)
    info, entries = read_original(target)
    assert (info.bucket, info.captured_at) == (repository.info.bucket, repository.info.captured_at)
    assert entries == list(repository.entries())
