"""The recorded histories hold the invariants, but where locks were removed beside running operations."""

from __future__ import annotations

import pytest

from rwm.model import ObjectVersion
from tests.histories.bucket import Bucket
from tests.histories.corpus import Recording, load_attacked, load_corpus, recording_paths
from tests.histories.restic import REFRESH, Repository
from tests.unit.histories.invariants import violations

TOLERANCE = {"rgw": 50, "seaweedfs": 0}


CORPUS = load_corpus()


@pytest.mark.parametrize("recording", CORPUS, ids=lambda r: r.name)
def test_a_recorded_history_holds_the_invariants(recording: Recording) -> None:
    locations = {operation.location for operation in recording.operations}
    for location in sorted(locations):
        repository = Repository(Bucket(), location and location + "/")
        tolerance = TOLERANCE[recording.server]
        assert not violations(recording.versions, repository, tolerance=tolerance, grace=REFRESH, contents=False)
        found = {v.key for v in violations(recording.versions, repository, tolerance=tolerance, contents=False)}
        by_operation = {
            recording.operations[number].name
            for number, version in zip(recording.operation_of, recording.versions, strict=True)
            if version.is_marker and version.key in found
        }
        assert by_operation <= {
            "a pack is lost (not restic)",
            "forget --prune beside unlock --remove-all (last part)",
        }


@pytest.mark.parametrize("recording", load_attacked(), ids=lambda r: r.name)
def test_an_attacked_history_has_the_etags_and_ids_of_simulated_ones(recording: Recording) -> None:
    def history(name: str) -> list[ObjectVersion]:
        [(_, [event])] = recording.operations_named(name)
        return [version for version in recording.versions if version.key == event.version.key]

    junk, first = history("junk of the same size in parts")
    assert junk.etag.endswith("-1") and junk.size == first.size
    for name in ("copy with own key", "copy onto itself"):
        copied, first = history(name)
        assert copied[4:6] == first[4:6]
    null = history("null version written twice")
    assert len(null) == 2  # the second one has replaced the first
    assert null[-1 if recording.server == "seaweedfs" else 0].version_id == "null"
    assert [version.is_latest for version in null] == [version.version_id == "null" for version in null]
    assert {"null"} == {version.version_id for version in history("delete while suspended") if version.is_marker}
    found = {v.rule for v in violations(recording.versions, Repository(Bucket()), tolerance=50, contents=False)}
    assert found == {"removal without a lock", "another content", "null version"}


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in recording_paths()) < 500_000


def test_every_version_is_of_an_operation() -> None:
    for recording in CORPUS + load_attacked():
        assert min(recording.operation_of) >= 0
        assert len(recording.versions) == len(recording.step_of) == len(recording.operation_of)
