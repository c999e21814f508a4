"""The recorded histories hold the invariants, but where locks were removed beside running operations."""

from __future__ import annotations

import pytest

from tests.histories.bucket import Bucket
from tests.histories.corpus import Recording, load_corpus, recording_paths
from tests.histories.restic import Repository
from tests.unit.histories.invariants import violations

TOLERANCE = {"rgw": 50, "seaweedfs": 0}


@pytest.mark.parametrize("recording", load_corpus(), ids=lambda recording: recording.name)
def test_a_recorded_history_holds_the_invariants(recording: Recording) -> None:
    locations = {operation.location for operation in recording.operations}
    for location in sorted(locations):
        repository = Repository(Bucket(), location and location + "/")
        found = violations(recording.versions, repository, tolerance=TOLERANCE[recording.server], contents=False)
        by_operation = {
            recording.operations[recording.operation_of[number]].name
            for number, version in enumerate(recording.versions)
            if version.is_marker and any(violation.key == version.key for violation in found)
        }
        assert {violation.rule for violation in found} <= {"removal without a lock"}
        assert by_operation <= {
            "a pack is lost (not restic)",
            "forget --prune beside unlock --remove-all (last part)",
        }


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in recording_paths()) < 500_000


def test_every_version_is_of_an_operation() -> None:
    for recording in load_corpus():
        assert min(recording.operation_of) >= 0
        assert len(recording.versions) == len(recording.step_of) == len(recording.operation_of)
