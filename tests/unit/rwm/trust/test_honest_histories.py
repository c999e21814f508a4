"""What restic, rustic, RWM, lifecycle rules and people do is never a proof."""

from __future__ import annotations

import pytest

from tests.histories.corpus import Recording, load_corpus
from tests.histories.generator import generate
from tests.unit.rwm.trust.auditing import audit_history, audit_repository, proofs

HISTORIES = 1000
_BATCH = 100
CORPUS = load_corpus()


@pytest.mark.parametrize("start", range(0, HISTORIES, _BATCH))
def test_no_proof_in_generated_histories(start: int) -> None:
    for seed in range(start, start + _BATCH):
        history = generate(seed)
        found = proofs(audit_history(history))
        assert not found, f"seed {seed}\n" + "\n".join([*history.log, *map(str, found)])


@pytest.mark.parametrize("recording", CORPUS, ids=lambda recording: recording.name)
def test_no_proof_in_recorded_histories(recording: Recording) -> None:
    """Both restics on both servers, killed and interrupted at many points."""
    for location in {operation.location for operation in recording.operations}:
        root = f"{location}/" if location else ""
        audit = audit_repository(recording.versions, root)
        assert not proofs(list(audit.log.listed()))
