"""Generated honest histories hold the invariants that they claim, and are what a server lists."""

from __future__ import annotations

import pytest

from rwm.layout import is_own_key
from rwm.times import DAY
from tests.histories.attacks import attack
from tests.histories.bucket import CLOCK_MODELS, GATEWAY_SKEW, JITTER, Bucket, ClockModel
from tests.histories.generator import History, every_interruption, generate
from tests.histories.restic import MINUTE, REFRESH, Repository, Version
from tests.histories.steps import run
from tests.histories.stream import stream
from tests.unit.histories.invariants import missing_at, quiet_times, violations

TOLERANCE: dict[ClockModel, int] = {"exact": 0, "seconds": 0, "jitter": JITTER, "gateways": GATEWAY_SKEW}


def assert_honest(history: History, tolerance: int) -> None:
    versions = history.versions
    for repository in history.repositories:
        found = violations(versions, repository, tolerance=tolerance)
        assert not found, "\n".join([f"seed {history.seed}", *map(str, found[:5]), *history.log])


@pytest.mark.parametrize("clock", CLOCK_MODELS)
def test_invariants_hold(clock: ClockModel) -> None:
    for seed in range(60):
        assert_honest(generate(seed, clock=clock, removes_evidence=False, removes_locks=False), TOLERANCE[clock])


def test_invariants_hold_beside_removed_locks_for_five_minutes_after_a_lock_was_written() -> None:
    """An operation whose lock was removed writes a new one when the old one would be five minutes old."""
    without_grace = 0
    for seed in range(100):
        history = generate(seed, clock="exact", removes_evidence=False, rustic=False)
        versions = history.versions
        for repository in history.repositories:
            assert not violations(versions, repository, grace=REFRESH, contents=False), (seed, history.log)
            without_grace += len(violations(versions, repository, contents=False))
    assert without_grace >= 5


@pytest.mark.parametrize("version", ["0.14", "0.18"])
def test_interruptions_at_every_step_are_honest(version: Version) -> None:
    count = 0
    for history in every_interruption(version):
        count += 1
        assert not violations(history.versions, history.repositories[0], grace=REFRESH, contents=False), history.log
    assert count > 200


def test_a_quiet_moment_is_a_whole_repository() -> None:
    checked = 0
    for seed in range(40):
        history = generate(seed, clock="exact", removes_evidence=False, removes_locks=False, copies=False, rustic=False)
        versions = history.versions
        for repository in history.repositories:
            for time in quiet_times(versions, repository)[-10:]:
                assert not missing_at(versions, repository, time), (seed, time, history.log)
                checked += 1
    assert checked > 200


@pytest.mark.parametrize("rustic", [False, True])
def test_a_repository_stays_whole_after_a_roll_back(rustic: bool) -> None:
    """Also when it is pruned again, and packs are not where an earlier prune, which is undone, had put them."""
    pruned = 0
    for seed in range(25):
        history = generate(seed, clock="exact", operations=10, removes_locks=False, copies=False, rustic=rustic)
        history.make_quiet()
        states = [history.rwm.capture()]
        for _ in range(3):
            history.bucket.now += DAY
            history.go_on(4)
            history.make_quiet()
            states.append(history.rwm.capture())
            history.rwm.roll_back(history.random.choice(states))
            for repository in history.repositories:
                pruned += len(run(history.bucket, repository.prune(repack=2))) > 3
                assert not missing_at(history.versions, repository, history.bucket.now), (seed, history.log)
    assert pruned > 15


def test_a_listing_is_in_the_order_of_a_server() -> None:
    for seed in range(50):
        versions = generate(seed).versions
        keys = [version.key.encode() for version in versions]
        assert keys == sorted(keys)
        assert [v.is_latest for v in versions] == [
            n == 0 or versions[n - 1].key != version.key for n, version in enumerate(versions)
        ]
        assert len({(version.key, version.version_id) for version in versions}) == len(versions)


def test_a_seed_gives_one_history() -> None:
    assert generate(3).versions == generate(3).versions
    assert generate(3).versions != generate(4).versions


def test_histories_are_of_all_kinds() -> None:
    histories = [generate(seed) for seed in range(200)]
    log = "\n".join(line for history in histories for line in history.log)
    for what in (
        "import", "init killed", "backup killed", "prune killed", "beside unlock --remove-all", "uploaded again",
        "other files", "rwm prune", "lifecycle", "migrate", "recover", "key passwd", "repair packs", "set option",
    ):  # fmt: skip
        assert what in log, what
    assert {history.bucket.clock for history in histories} == set(CLOCK_MODELS)
    assert {len(history.repositories) for history in histories} == {1, 2, 3}
    assert {r.uses_locks for history in histories for r in history.repositories} == {True, False}
    spans = [max(v.last_modified for v in h.versions) - min(v.last_modified for v in h.versions) for h in histories]
    assert min(spans) < 3 * 60 * MINUTE
    assert max(spans) > 365 * 24 * 60 * MINUTE
    assert any(is_own_key(version.key) for history in histories for version in history.versions)


def test_rwm_keeps_the_locks_of_markers_that_stay() -> None:
    """With its locks kept, an honest prune leaves nothing that the lock rule would take for an attack."""
    pruned = 0
    for seed in range(60):
        history = generate(seed, clock="exact", removes_evidence=False, removes_locks=False, rustic=False)
        history.rwm.capture()
        pruned += history.rwm.prune(1, min_age=5 * MINUTE)
        versions = history.versions
        for repository in history.repositories:
            rules = {violation.rule for violation in violations(versions, repository, contents=False)}
            assert "removal without a lock" not in rules, seed
    assert pruned > 1000


def test_an_adopted_bucket_has_null_versions_that_are_the_oldest() -> None:
    found = 0
    for seed in range(20):
        history = generate(seed, adopted=True, removes_evidence=False, rustic=False)
        for key in {version.key for version in history.versions}:
            ids = [version.version_id for version in history.bucket.history(key)]
            assert "null" not in ids[:-1]
            found += ids[-1] == "null"
    assert found > 20


def test_opaque_etags_differ_for_one_content() -> None:
    bucket = Bucket(opaque_etags=True)
    assert bucket.put("a", 1).etag != bucket.put("a", 1).etag


def test_roll_back_makes_the_bucket_what_it_was() -> None:
    history = generate(1, operations=10)
    state = history.rwm.capture()
    before = {key: history.bucket.newest(key).etag for key in state.current}
    attack(history, "overwrite everything")
    attack(history, "delete half of the packs")
    attack(history, "many false snapshots")
    assert history.rwm.roll_back(state)
    after = {key: history.bucket.newest(key).etag for key in history.rwm.capture().current}
    assert after == before


def test_a_large_listing_is_honest_and_sorted() -> None:
    versions = list(stream(20_000))
    assert len(versions) == 20_000
    keys = [version.key for version in versions]
    assert keys == sorted(keys)
    small = list(stream(10_000, seed=2))
    repository = Repository(generate(1).bucket)
    assert violations(small, repository, contents=False) == []
    assert len({version.key for version in small if version.is_marker}) > 3000
