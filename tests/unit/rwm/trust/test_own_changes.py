"""What RWM itself did is no attack, what it restored is as good as it was, and what it removed stays evidence."""

from __future__ import annotations

import pytest

from rwm.layout import is_own_key
from rwm.model import OperationChange, OwnChange
from rwm.times import DAY, SECOND
from rwm.trust.own_changes import OwnChanges
from rwm.trust.repository_audit import RepositoryAudit
from tests.histories.attacks import ATTACKS, attack
from tests.histories.bucket import Bucket
from tests.histories.generator import History, generate
from tests.histories.rwm import CapturedState
from tests.histories.steps import run
from tests.unit.rwm.trust.auditing import audit_history, audit_repository, proofs

SEEDS = 100


def captured(history: History) -> CapturedState:
    """All that is current, of all repositories."""
    present = [entry for entry in history.versions if entry.is_latest and not entry.is_marker]
    current = {entry.key: entry.version_id for entry in present if not is_own_key(entry.key)}
    return CapturedState("0" * 64, history.bucket.now // SECOND * SECOND, "", current)


def honest(seed: int) -> tuple[History, CapturedState]:
    """A history in which people go on after a state, for a while."""
    history = generate(seed)
    history.make_quiet()
    state = captured(history)
    history.bucket.now += DAY
    history.go_on(3)
    history.make_quiet()
    return history, state


def attacked(seed: int, name: str) -> tuple[History, CapturedState]:
    """A history that is attacked right after a state."""
    history = generate(seed, operations=10, rustic=False, repositories=1)
    history.make_quiet()
    run(history.bucket, history.repositories[0].backup(2))
    history.bucket.now += DAY
    state = captured(history)
    history.bucket.now += DAY
    attack(history, name)
    history.bucket.now += DAY
    return history, state


def judged(history: History, changes: list[OwnChange]) -> RepositoryAudit:
    (repository,) = history.repositories
    own = OwnChanges(changes)
    return audit_repository(history.versions, repository.prefix, history.bucket.now, own=own)


def is_suspect(audit: RepositoryAudit, time: int) -> bool:
    return time // SECOND * SECOND in audit.log.suspect


def test_a_roll_back_is_no_attack() -> None:
    unexplained = 0
    for seed in range(SEEDS):
        history, state = honest(seed)
        own = OwnChanges(history.rwm.roll_back(state))
        history.bucket.now += DAY
        history.go_on(3)
        found = proofs(audit_history(history, own=own))
        assert not found, f"seed {seed}\n" + "\n".join([*history.log, *map(str, found)])
        unexplained += bool(proofs(audit_history(history)))
    assert unexplained > SEEDS // 10  # without the record it looks like one


def test_a_roll_back_and_back_again_is_no_attack() -> None:
    for seed in range(SEEDS // 4):
        history, state = honest(seed)
        later = captured(history)
        changes = history.rwm.roll_back(state)
        history.bucket.now += DAY
        changes += history.rwm.roll_back(later)
        history.bucket.now += DAY
        changes += history.rwm.roll_back(state)
        assert not proofs(audit_history(history, own=OwnChanges(changes))), seed


@pytest.mark.parametrize("undo", ["roll back", "undelete"])
def test_a_prune_leaves_what_explains_the_removals_that_rwm_has_undone(undo: str) -> None:
    removed = 0
    for seed in range(SEEDS // 4):
        history, state = honest(seed)
        rwm = history.rwm
        own = OwnChanges(rwm.roll_back(state) if undo == "roll back" else rwm.undelete(state))
        history.bucket.now += DAY
        history.go_on(1)
        rwm.capture()
        removed += rwm.prune(1)
        assert not proofs(audit_history(history, own=own)), (seed, history.log)
    assert removed > 5 * SEEDS


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_state_from_before_an_attack_makes_the_bucket_good_and_the_attack_stays_found(name: str) -> None:
    for seed in range(5):
        history, state = attacked(seed, name)
        before = judged(history, [])
        during = history.bucket.now
        history.bucket.now += DAY
        if is_suspect(before, state.captured_at):
            continue  # the attack was on what the state has
        changes = history.rwm.roll_back(state)
        history.bucket.now += DAY
        after = judged(history, changes)
        if "versioning-suspended" not in after.log.counts:  # then nothing is safe any more
            assert not is_suspect(after, history.bucket.now), f"seed {seed}"
        assert is_suspect(after, during) == is_suspect(before, during)
        assert {each.id for each in proofs(list(before.log.listed()))} == {
            each.id for each in proofs(list(after.log.listed()))
        }


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_state_from_after_an_attack_makes_the_bucket_as_bad(name: str) -> None:
    for seed in range(5):
        history, good = attacked(seed, name)
        bad = captured(history)
        changes = history.rwm.roll_back(good)
        history.bucket.now += DAY
        before = judged(history, changes)
        changes += history.rwm.roll_back(bad)
        history.bucket.now += DAY
        if is_suspect(before, bad.captured_at) and not is_suspect(before, good.captured_at):
            assert is_suspect(judged(history, changes), history.bucket.now), f"seed {seed}"


PACK = f"data/ab/ab{'c' * 62}"


def locked_bucket() -> Bucket:
    """A repository whose only lock has ended long ago."""
    bucket = Bucket()
    bucket.put("config", 155)
    bucket.put("keys/" + "1" * 64, 400)
    bucket.put("locks/" + "2" * 64, 140)
    bucket.put(PACK, 1000, "good")
    bucket.now += 1000
    bucket.delete("locks/" + "2" * 64)
    bucket.now += DAY
    return bucket


def codes(bucket: Bucket, *changes: OperationChange) -> list[str]:
    own = OwnChanges([OwnChange(bucket.now, change) for change in changes])
    audit = audit_repository(bucket.listing(), now=bucket.now + DAY, own=own)
    return [finding.rule.code for finding in audit.log.listed() if finding.key == PACK]


def test_a_marker_is_explained_by_its_own_id_alone() -> None:
    bucket = locked_bucket()
    marker = bucket.delete(PACK)
    assert marker is not None
    assert codes(bucket) == ["unlocked-removal"]
    assert codes(bucket, OperationChange("marked", PACK, marker.version_id)) == []
    assert codes(bucket, OperationChange("marked", PACK, "other")) == ["unlocked-removal"]
    assert codes(bucket, OperationChange("marked", "config", marker.version_id)) == ["unlocked-removal"]
    assert codes(bucket, OperationChange("deleted", PACK, marker.version_id)) == ["unlocked-removal"]


def test_a_copy_is_as_good_as_its_source() -> None:
    bucket = locked_bucket()
    good = bucket.newest(PACK)
    bad = bucket.put(PACK, 999, "bad")
    bucket.now += DAY
    copy = bucket.put(PACK, 1000, "good")
    of_good = OperationChange("copied", PACK, copy.version_id, good.version_id)
    assert codes(bucket) == ["other-content", "written-twice"]
    assert codes(bucket, of_good) == ["other-content"]
    again = bucket.put(PACK, 999, "bad")
    of_bad = OperationChange("copied", PACK, again.version_id, bad.version_id)
    assert codes(bucket, of_good, of_bad) == ["other-content", "other-content"]
    third = bucket.put(PACK, 999, "bad")
    of_copy = OperationChange("copied", PACK, third.version_id, again.version_id)
    assert codes(bucket, of_good, of_bad, of_copy) == ["other-content"] * 3


def test_a_marker_that_rwm_removed_is_judged_until_then() -> None:
    bucket = locked_bucket()
    markers = [bucket.delete(PACK)]
    bucket.repeats_markers = True
    bucket.now += DAY
    markers.append(bucket.delete(PACK))
    removed = [OperationChange("unmarked", PACK, each.version_id, at=each.last_modified) for each in markers if each]
    deleted_at = removed[0].at
    bucket.now += DAY
    for change in removed:
        bucket.remove_version(PACK, change.version_id)
    assert codes(bucket) == []
    assert codes(bucket, *removed) == ["unlocked-removal"]
    own = OwnChanges([OwnChange(bucket.now, change) for change in removed])
    audit = audit_repository(bucket.listing(), now=bucket.now + DAY, own=own)
    assert is_suspect(audit, deleted_at + SECOND)
    assert is_suspect(audit, bucket.now - SECOND)
    assert not is_suspect(audit, bucket.now + SECOND)


def test_a_marker_over_what_was_pruned_since_says_nothing() -> None:
    bucket = locked_bucket()
    version = bucket.newest(PACK)
    bucket.put(PACK, 1000, "good")
    bucket.remove_version(PACK, version.version_id)
    change = OperationChange("unmarked", PACK, "m1", at=version.last_modified - 1)
    assert codes(bucket, change) == []
