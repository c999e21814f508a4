"""Prune on the real servers: kept states stay complete, deleted keys stay deleted."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from rwm import process, prune, retention
from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, ObjectVersion, StateInfo
from rwm.prune.lifecycle import lifecycle_rule
from rwm.prune.uploads import AbortResult, abort_old_uploads, count_old_uploads, upload_cutoff
from rwm.restore import StatePart, restore_to_directory
from rwm.s3 import S3, DeleteFailure
from rwm.s3.listing.history import list_histories
from rwm.statefile.canonical import identified
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from rwm.times import DAY, SECOND
from rwm.trust import audit_location
from tests import repositories
from tests.contract.buckets import Model, next_second, unique, versioned
from tests.keeping import keep_last
from tests.servers import Server


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


@pytest.fixture
def s3(server: Server) -> S3:
    """The admin's client."""
    return server.connect()


def everything(s3: S3, bucket: str) -> list[ObjectVersion]:
    """All entries but RWM's own."""
    return [version for part in list_histories(s3, Location(bucket)) for history in part for version in history]


def present(s3: S3, bucket: str) -> dict[str, str]:
    """What a plain listing shows: version id by key."""
    return {v.key: v.version_id for v in everything(s3, bucket) if v.is_latest and not v.is_marker}


def files(s3: S3, index: Index, info: StateInfo, directory: Path) -> dict[str, bytes]:
    """The state, restored."""
    result = restore_to_directory(s3, StatePart(index, info), directory)
    assert (result.failures, result.objects) == ([], info.objects)
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class History(NamedTuple):
    """A bucket with restic's history in it, and a state after each of three backups."""

    s3: S3
    bucket: str
    states: list[StateInfo]


@pytest.fixture
def history(server: Server, s3: S3, index: Index, tmp_path: Path) -> History:
    bucket, data = unique("prune"), tmp_path / "data"
    create_storage(s3, bucket, "user1")
    data.mkdir()
    environment = server.environment("user1") | {"RESTIC_PASSWORD": "x"}

    def restic(*arguments: str) -> None:
        done = process.run(["restic", "-q", "-r", f"s3:{server.endpoint}/{bucket}", *arguments], env=environment)
        assert done.returncode == 0, done.stderr

    repositories.create_in(server.connect("user1"), bucket, "x")
    states = []
    for number in range(3):
        (data / "file").write_bytes(random.Random(number).randbytes(200_000))
        restic("backup", str(data))
        restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
        states.append(capture_state(s3, index, Location(bucket)))
    return History(s3, bucket, states)


def test_prune_keeps_kept_states_and_deletes_the_rest(history: History, index: Index, tmp_path: Path) -> None:
    s3, bucket, states = history
    kept = [states[0], states[2]]
    before = [files(s3, index, info, tmp_path / f"before-{info.id}") for info in kept]
    shown, all_before = present(s3, bucket), everything(s3, bucket)
    own = [*s3.versions(bucket, "rwm/")]
    todo = prune.plan_prune(s3, index, Location(bucket), kept)
    assert todo.refused == () and todo.versions and todo.markers
    assert todo.findings == () and todo.lost_states == (states[1],)
    assert everything(s3, bucket) == all_before  # a plan changes nothing
    result = prune.execute_prune(s3, todo)
    assert result.failures == ()
    assert (result.versions, result.markers, result.bytes) == (len(todo.versions), len(todo.markers), todo.bytes)
    assert [files(s3, index, info, tmp_path / f"after-{info.id}") for info in kept] == before
    assert present(s3, bucket) == shown
    assert [*s3.versions(bucket, "rwm/")] == own
    needed = {(entry.key, entry.version_id) for info in kept for entry in index.entries(info)} | set(shown.items())
    left = everything(s3, bucket)
    evidence = {(v.key, v.version_id) for v in left if not v.is_marker} - needed
    assert len(evidence) == todo.evidence > 0
    assert {key.partition("/")[0] for key, _ in evidence} <= {"locks", "index", "keys"}
    assert audit_location(s3, Location(bucket)).proofs == 0
    assert len(left) == len(all_before) - result.versions - result.markers
    again = prune.plan_prune(s3, index, Location(bucket), kept)
    assert (len(again.versions), len(again.markers), again.kept_versions) == (0, 0, len(needed))
    assert again.files_read == 5

    keep = retention.select_kept_states(index, Location(bucket), keep_last(1), [])
    assert keep == [states[2]]
    assert prune.prune_and_forget(s3, index, prune.plan_prune(s3, index, Location(bucket), keep)).versions > 0
    assert present(s3, bucket) == shown
    assert index.states(Location(bucket)) == [states[2]]  # the others are not whole any more
    assert files(s3, index, states[2], tmp_path / "newest alone") == before[1]
    assert audit_location(s3, Location(bucket)).proofs == 0


def test_states_of_another_server_with_a_bucket_of_that_name_are_noticed(s3: S3, index: Index) -> None:
    model, info = hidden_history(s3, index)
    bucket, states = model.bucket, [info, capture_state(s3, index, Location(model.bucket))]
    entries = [Entry("config", "elsewhere", 1, "", 0)]
    foreign = identified(StateInfo("", bucket, info.captured_at, "capture", 1, 1), entries)
    index.record(foreign, entries)
    keep = retention.select_kept_states(index, Location(bucket), keep_last(3), [])
    assert foreign in keep
    todo = prune.plan_prune(s3, index, Location(bucket), keep)
    assert f"the kept state {foreign.id[:12]}" in todo.findings[0]
    assert "is not complete: 1 of its 1 versions" in todo.findings[0]
    without = prune.plan_prune(s3, index, Location(bucket), states)
    assert without.lost_states == ()  # nothing of it was ever here


def test_an_incomplete_newest_state_is_refused(s3: S3, index: Index) -> None:
    model, first = hidden_history(s3, index)
    newest = capture_state(s3, index, Location(model.bucket))
    assert prune.plan_prune(s3, index, Location(model.bucket), [first, newest]).refused == ()
    version = model.current()["kept/replaced"]
    assert not s3.delete_versions(model.bucket, [("kept/replaced", version)])
    (reason,) = prune.plan_prune(s3, index, Location(model.bucket), [first, newest]).refused
    assert "not complete: 1 of its 2 versions" in reason
    assert prune.plan_prune(s3, index, Location(model.bucket), [first]).refused == ()


def test_a_suspended_bucket_and_a_bucket_without_states_are_refused(s3: S3, index: Index) -> None:
    bucket = versioned(s3, "prune")
    s3.put(bucket, "key", b"1")
    assert any("no state" in reason for reason in prune.plan_prune(s3, index, Location(bucket), []).refused)
    info = capture_state(s3, index, Location(bucket))
    assert prune.plan_prune(s3, index, Location(bucket), [info]).refused == ()
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert any("Suspended" in reason for reason in prune.plan_prune(s3, index, Location(bucket), [info]).refused)


# --- what was deleted stays deleted ----------------------------------------------------------------------


def hidden_history(s3: S3, index: Index) -> tuple[Model, StateInfo]:
    """Keys with all kinds of history, and a state some of whose versions are below markers now."""
    model = Model(s3, versioned(s3, "prune"))
    for key in ("kept/below", "kept/replaced", "gone/deleted", "gone/replaced", "present"):
        model.put(key, b"0")
    model.delete("gone/deleted")
    for number in range(3):
        model.put("gone/replaced", b"x" * number)
        model.delete("gone/replaced")
    model.delete("never")
    info = capture_state(s3, index, Location(model.bucket))
    model.put("gone/after", b"1")
    model.delete("gone/after")
    model.delete("kept/below")
    model.put("kept/replaced", b"1")
    model.put("kept/replaced", b"2")
    next_second(s3, model.bucket)  # what was deleted in the second of the audit is too young
    return model, info


def entries_of(index: Index, info: StateInfo) -> list[Entry]:
    return list(index.entries(info))


def test_prune_never_restores_deleted_keys(s3: S3, index: Index) -> None:
    model, info = hidden_history(s3, index)
    second = next_second(s3, model.bucket)
    past = entries_of(index, capture_state(s3, index, Location(model.bucket), at=info.captured_at, origin="past"))
    assert past == entries_of(index, info)
    todo = prune.plan_prune(s3, index, Location(model.bucket), [info])
    prune.execute_prune(s3, todo)
    assert present(s3, model.bucket) == model.current()
    assert {v.key for v in everything(s3, model.bucket) if v.is_marker} == {"kept/below"}
    again = capture_state(s3, index, Location(model.bucket), at=second, origin="past")
    assert {entry.key: entry.version_id for entry in index.entries(again)} == model.current()
    again = capture_state(s3, index, Location(model.bucket), at=info.captured_at, origin="past")
    assert entries_of(index, again) == entries_of(index, info)


def test_minimum_age(s3: S3, index: Index) -> None:
    model, info = hidden_history(s3, index)
    todo = prune.plan_prune(s3, index, Location(model.bucket), [info], min_age=3600 * SECOND)
    assert not todo.versions and not todo.markers
    assert todo.too_young == 7  # four of gone/replaced, one each of gone/deleted, gone/after and kept/replaced
    cut = next_second(s3, model.bucket)
    model.put("late", b"1")
    model.delete("late")
    audit = audit_location(s3, Location(model.bucket))
    min_age = audit.known_now - cut  # by the time that the plan goes by, however long ago it was
    todo = prune.plan_prune(s3, index, Location(model.bucket), [info], min_age=min_age, audit=audit)
    assert "late" not in {doomed.key for doomed in (*todo.versions, *todo.markers)}
    assert {doomed.key for doomed in todo.versions} >= {"gone/deleted", "gone/replaced", "gone/after"}
    prune.execute_prune(s3, todo)
    assert present(s3, model.bucket) == model.current()
    assert [v.is_marker for v in s3.versions(model.bucket, "late")] == [True, False]


# --- locks -----------------------------------------------------------------------------------------------


def test_locked_versions_stay_and_are_counted_when_the_server_refuses(s3: S3, index: Index) -> None:
    bucket = unique("locked")
    s3.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    model = Model(s3, bucket)
    locked = {}
    for number in range(3):
        for key in ("free", "governance", "compliance", "held"):
            version = model.put(key, b"x" * number)
            if number == 1:
                locked[key] = version
    del locked["free"]
    until = datetime.now(UTC) + timedelta(days=1)
    modes: dict[str, Literal["GOVERNANCE", "COMPLIANCE"]] = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}
    for key, mode in modes.items():
        s3.client.put_object_retention(
            Bucket=bucket, Key=key, VersionId=locked[key], Retention={"Mode": mode, "RetainUntilDate": until}
        )
    s3.client.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=locked["held"], LegalHold={"Status": "ON"})
    model.delete("held")
    info = capture_state(s3, index, Location(bucket))
    todo = prune.plan_prune(s3, index, Location(bucket), [info])
    assert (todo.refused, todo.locked, todo.has_object_lock) == ((), 0, True)
    result = prune.prune_and_forget(s3, index, todo)
    assert (result.failures, result.versions, result.markers) == ((), len(todo.versions) - 3, 0)
    assert result.locked.keys() == set(locked.items())  # and the marker that hides a locked version stays
    left = {(version.key, version.version_id) for version in everything(s3, bucket) if not version.is_marker}
    assert left == set(locked.items()) | set(model.current().items())
    assert present(s3, bucket) == model.current()
    again = prune.plan_prune(s3, index, Location(bucket), [info])
    assert (len(again.versions), len(again.markers), again.locked) == (0, 0, 3)


def test_a_version_locked_after_the_plan_is_reported_and_stays_hidden(s3: S3, index: Index) -> None:
    bucket = unique("locked")
    s3.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    model = Model(s3, bucket)
    model.put("stays", b"1")
    version = model.put("deleted", b"1")
    model.delete("deleted")
    todo = prune.plan_prune(s3, index, Location(bucket), [capture_state(s3, index, Location(bucket))])
    assert [doomed.key for doomed in (*todo.versions, *todo.markers)] == ["deleted", "deleted"]
    s3.client.put_object_legal_hold(Bucket=bucket, Key="deleted", VersionId=version, LegalHold={"Status": "ON"})
    result = prune.execute_prune(s3, todo)
    assert (result.versions, result.markers, result.failures) == (0, 0, ())
    assert list(result.locked) == [("deleted", version)]
    assert present(s3, bucket) == model.current()


# --- interruptions ---------------------------------------------------------------------------------------


class CutOffError(Exception):
    """Raised in place of a deletion, as by a power failure."""


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_an_interrupted_prune_is_finished_by_the_next(
    s3: S3, index: Index, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    monkeypatch.setattr("rwm.prune.delete_batches.DELETE_BATCH", 4)
    monkeypatch.setattr("rwm.prune.delete_batches.THREADS", 1)
    model, info = hidden_history(s3, index)
    todo = prune.plan_prune(s3, index, Location(model.bucket), [info])
    assert len(todo.versions) >= 6 and len(todo.markers) >= 4
    plain, done = s3.delete_versions, list[int]()

    def delete(bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        if len(done) == chunks:
            raise CutOffError
        done.append(len(exact))
        return plain(bucket, exact)

    with monkeypatch.context() as patch:
        patch.setattr(s3, "delete_versions", delete)
        with pytest.raises(CutOffError):
            prune.execute_prune(s3, todo)
    assert len(done) == chunks
    assert present(s3, model.bucket) == model.current()
    assert prune.plan_prune(s3, index, Location(model.bucket), [info]).refused == ()
    result = prune.execute_prune(s3, todo)  # the same plan again: what is gone already is no failure
    assert result.failures == ()
    assert present(s3, model.bucket) == model.current()
    left = prune.plan_prune(s3, index, Location(model.bucket), [info])
    assert not left.versions and not left.markers


def test_writes_after_the_plan_are_not_deleted(s3: S3, index: Index) -> None:
    model, info = hidden_history(s3, index)
    todo = prune.plan_prune(s3, index, Location(model.bucket), [info])
    for key in ("gone/replaced", "kept/replaced", "new"):
        model.put(key, b"during")
    model.delete("present")
    prune.execute_prune(s3, todo)
    assert present(s3, model.bucket) == model.current()
    for key, version in model.current().items():
        assert s3.get(model.bucket, key, version) == model.histories[key][0][1]


# --- unfinished uploads ----------------------------------------------------------------------------------


def test_old_unfinished_uploads_below_the_location_are_aborted(s3: S3) -> None:
    bucket = versioned(s3, "uploads")
    for key in ("host1/data/a", "host1/rwm/states/clock", "host2/data/a"):
        upload = s3.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        s3.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    location, now = Location(bucket, "host1/"), s3.server_time(bucket)
    assert count_old_uploads(s3, location, upload_cutoff(now, now)) == 0  # younger than a day
    later = now + 60 * SECOND
    assert count_old_uploads(s3, location, later) == 2
    assert abort_old_uploads(s3, location, later) == AbortResult(aborted=2)
    assert [key for key, _, _ in s3.unfinished_uploads(bucket)] == ["host2/data/a"]


def test_the_lifecycle_rule_that_comes_nearest_is_one_that_the_server_takes(s3: S3) -> None:
    bucket = unique("lifecycle")
    s3.create_bucket(bucket)
    for prefix in ("", "host1/"):
        rules = lifecycle_rule(Location(bucket, prefix), 0, 40 * DAY, 30 * DAY)["Rules"]
        s3.put_lifecycle_rules(bucket, rules)
        (found,) = s3.lifecycle_rules(bucket)
        assert found["NoncurrentVersionExpiration"]["NoncurrentDays"] == 40
        assert found["Expiration"] == {"ExpiredObjectDeleteMarker": True}
        assert found["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 30}
        assert found.get("Filter", found).get("Prefix", "") == prefix, "RGW 16 answers in the older form"
