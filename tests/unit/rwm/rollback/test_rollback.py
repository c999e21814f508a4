"""Whole buckets: rolled back, undone, killed in between and continued; the records name exactly what RWM did."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from rwm.errors import AccessDenied, Archived, BadState, UsageError
from rwm.location import Location
from rwm.model import Entry, ObjectVersion, OperationChange
from rwm.operations import begin_operation, list_records, new_operation, open_stored, record_key
from rwm.rollback import (
    KeyPlan,
    Problem,
    RollbackPlan,
    complete_interrupted,
    open_undo_file,
    undo_path,
    write_undo_file,
)
from rwm.rollback.plan import BATCH, own_copies
from rwm.s3 import COPY_LIMIT
from tests.unit.rwm.rollback.live import BUCKET, HERE, Killed, Live


@pytest.mark.parametrize("seed", range(8))
def test_a_roll_back_equals_the_state_and_is_undone(tmp_path: Path, seed: int) -> None:
    live = Live(tmp_path, seed)
    live.work(60)
    info, good = live.capture(), live.contents(locks=False)
    live.work(60)
    bad, versions = live.contents(), live.versions()
    path, result = live.roll_back(info)
    assert result.failures == []
    rolled_back = live.contents()
    assert live.contents(locks=False) == good
    assert versions <= live.versions()
    with live.plan(info) as plan:
        assert (plan.changes, plan.problems.total()) == (0, 0)
    back, _ = live.undo(path)
    assert live.contents() == bad
    live.undo(back)
    assert live.contents() == rolled_back
    assert versions <= live.versions()
    remaining = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert live.written_by_admin() <= remaining
    live.index.close()


@pytest.mark.parametrize("requests", range(7))
def test_after_a_kill_the_same_command_does_the_rest_and_the_record_is_completed(tmp_path: Path, requests: int) -> None:
    live = Live(tmp_path, requests)
    live.work(60)
    info, good = live.capture(), live.contents(locks=False)
    live.work(60)
    bad = live.contents()
    removed = len([each for each in live.s3.versions(BUCKET) if each.is_marker])
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(requests, patch)
        with pytest.raises(Killed):
            live.roll_back(info)
    assert live.recorded() == []
    (operation,) = complete_interrupted(live.s3, live.index, HERE)
    marked = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert marked == live.written_by_admin()
    gone = sum(change.did == "unmarked" for change in live.recorded())
    put = sum(change.did == "marked" for change in live.recorded())
    assert len([each for each in live.s3.versions(BUCKET) if each.is_marker]) == removed - gone + put
    assert complete_interrupted(live.s3, live.index, HERE) == []
    second, _ = live.roll_back(info)
    assert live.contents(locks=False) == good
    first = undo_path(live.index.path, operation)
    live.undo(second)
    live.undo(first)
    assert live.contents() == bad
    live.index.close()


@pytest.mark.parametrize("hostile", ["overwritten", "hidden"])
def test_a_record_that_somebody_changed_after_the_kill_is_read_as_it_was_written(live: Live, hostile: str) -> None:
    live.work(60)
    info, good = live.capture(), live.contents(locks=False)
    live.work(60)
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(5, patch)
        with pytest.raises(Killed):
            live.roll_back(info)
    (operation,) = live.index.operations.recorded(BUCKET)
    if hostile == "hidden":
        live.s3.delete(BUCKET, record_key(operation))
    else:
        live.s3.put(BUCKET, record_key(operation), b"forged")
    assert complete_interrupted(live.s3, live.index, HERE) == [operation]
    marked = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert marked == {pair for pair in live.written_by_admin() if not pair[0].startswith("rwm/")}
    live.roll_back(info)
    assert live.contents(locks=False) == good


def test_what_a_killed_run_has_recorded_is_recorded_once(live: Live) -> None:
    for key in ("deleted", "overwritten"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    live.s3.delete(BUCKET, "deleted")
    live.s3.delete(BUCKET, "deleted")
    live.s3.put(BUCKET, "overwritten", b"bad")
    live.s3.put(BUCKET, "added", b"bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwm.rollback.execute._Outcomes.raise_if_all_failed", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            live.roll_back(info)
    complete_interrupted(live.s3, live.index, HERE)
    (file,) = list_records(live.s3, BUCKET)
    with open_stored(live.s3, BUCKET, file) as record:
        changes = list(record.changes())
    assert Counter(change.did for change in changes) == {"unmarked": 2, "copied": 1, "marked": 1}


def test_uploads_that_a_killed_copy_left_are_aborted(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.rollback.interrupted.COPY_LIMIT", 10)
    for key in ("small", "large", "whole"):
        live.s3.put(BUCKET, key, key[:1].encode() * (5 if key == "small" else 11))
    info = live.capture()
    for key in ("small", "large"):
        live.s3.put(BUCKET, key, b"bad")
    live.s3.uploads = [("large", "before", live.s3.now)]
    live.s3.now += 1000
    with monkeypatch.context() as patch:
        live.kill_after(0, patch)
        with pytest.raises(Killed):
            live.roll_back(info)
    live.s3.uploads += [(key, key, live.s3.now) for key in ("small", "large", "whole", "other")]
    complete_interrupted(live.s3, live.index, HERE)
    assert [upload for _, upload, _ in live.s3.uploads] == ["before", "small", "whole", "other"]


def test_only_the_location_is_changed(live: Live) -> None:
    for key in ("host1/config", "host2/config"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("host1/config", "host2/config"):
        live.s3.put(BUCKET, key, b"bad")
    with live.plan(info, prefix="host1/") as plan:
        live.execute(plan)
    assert live.contents() == {"host1/config": b"good", "host2/config": b"bad"}


def test_the_plan_has_the_number_of_requests(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        live.s3.put(BUCKET, f"over{number}", b"good")
    for number in range(BATCH + 1):
        live.s3.put(BUCKET, f"gone{number}", b"good")
    info = live.capture()
    for number in range(3):
        live.s3.put(BUCKET, f"over{number}", b"bad")
    for number in range(BATCH + 1):
        live.s3.delete(BUCKET, f"gone{number}")
        live.s3.put(BUCKET, f"added{number}", b"bad")
    requests = []
    for name in ("copy_back", "put_markers", "delete_versions"):
        requests.append(Mock(wraps=getattr(live.s3, name)))
        monkeypatch.setattr(live.s3, name, requests[-1])
    with live.plan(info) as plan:
        assert plan.requests == 3 + 2 + 2
        live.execute(plan)
        assert sum(each.call_count for each in requests) == plan.requests


def test_a_copy_in_parts_costs_its_parts_and_three_more_requests() -> None:
    with RollbackPlan(HERE, "roll-back", "") as plan:
        plan.add("a", KeyPlan((OperationChange("copied", "a", "", "v1", "v2", size=COPY_LIMIT),)))
        assert plan.requests == 1
        plan.add("b", KeyPlan((OperationChange("copied", "b", "", "v1", "v2", size=COPY_LIMIT + 1),)))
        assert plan.requests == 1 + 21 + 3  # HeadObject, the begin and the end of the upload


def test_a_run_of_the_bucket_completes_the_record_of_a_killed_run_of_a_prefix(live: Live) -> None:
    live.s3.put(BUCKET, "host1/config", b"good")
    info = live.capture()
    live.s3.put(BUCKET, "host1/config", b"bad")
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(1, patch)
        patch.setattr("rwm.rollback.execute._Outcomes.raise_if_all_failed", Mock(side_effect=Killed))
        with live.plan(info, prefix="host1/") as plan, pytest.raises(Killed):
            live.execute(plan)
    assert complete_interrupted(live.s3, live.index, Location(BUCKET, "host2/")) == []
    (operation,) = complete_interrupted(live.s3, live.index, HERE)
    assert operation.location == Location(BUCKET, "host1/")
    assert [change.did for change in live.recorded()] == ["copied"]


def test_a_copy_of_another_size_is_none_whatever_the_record_says(live: Live) -> None:
    """Without versioning a copy has the id ``null``, and so has what takes its place."""
    with begin_operation(live.s3, live.index, new_operation(live.s3, "roll-back", HERE)) as log:
        log.add([OperationChange("copied", "a", "null", "v1", size=4)])
    is_copy_of = own_copies(live.index, HERE)
    wanted = Entry("a", "v1", 4, "x", 0)
    assert is_copy_of(ObjectVersion("a", "null", True, False, 4, "y-2", 0), wanted)
    assert not is_copy_of(ObjectVersion("a", "null", True, False, 5, "y-2", 0), wanted)


def test_locks_are_not_brought_back_and_new_ones_go(live: Live) -> None:
    live.s3.put(BUCKET, "locks/held", b"1")
    live.s3.put(BUCKET, "locks/stays", b"1")
    live.s3.put(BUCKET, "locks/overwritten", b"1")
    info = live.capture()
    live.s3.delete(BUCKET, "locks/held")
    live.s3.put(BUCKET, "locks/new", b"1")
    live.s3.put(BUCKET, "locks/overwritten", b"2")
    with live.plan(info) as plan:
        assert (plan.locks, plan.changes) == (2, 2)
        live.execute(plan)
    assert live.contents() == {"locks/stays": b"1"}


def test_an_undelete_leaves_what_was_overwritten_or_added(live: Live) -> None:
    for key in ("deleted", "overwritten"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    live.s3.delete(BUCKET, "deleted")
    live.s3.put(BUCKET, "overwritten", b"bad")
    live.s3.put(BUCKET, "added", b"bad")
    with live.plan(info, "undelete") as plan:
        assert dict(plan.problems) == {Problem.OVERWRITTEN: 1}
        assert (plan.added, plan.kept, plan.unmarked) == (1, 0, 1)
        live.execute(plan)
    assert live.contents() == {"deleted": b"good", "overwritten": b"bad", "added": b"bad"}


def test_what_cannot_be_brought_back_is_counted_and_the_rest_is_done(live: Live) -> None:
    for key in ("archived", "gone", "here"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    live.s3.archive(BUCKET, "archived")
    live.s3.buckets[BUCKET].pop("gone")
    for key in ("archived", "here"):
        live.s3.put(BUCKET, key, b"bad")
    with live.plan(info) as plan:
        assert plan.named == [("archived", Problem.ARCHIVED), ("gone", Problem.GONE)]
        live.execute(plan)
    assert live.contents() == {"archived": b"bad", "here": b"good"}


def test_a_change_that_fails_is_reported_and_the_others_are_made(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a", "b", "c"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b", "c", "new1", "new2"):
        live.s3.put(BUCKET, key, b"bad")
    copy = live.s3.copy_back

    def copy_back(bucket: str, key: str, *rest: str) -> str:
        if key == "b":
            raise Archived("CopyObject b: archived")
        return copy(bucket, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(live.s3, "copy_back", copy_back)
    live.s3.stuck["new1", ""] = "InternalError"
    _, result = live.roll_back(info)
    assert sorted(result.failures) == [("b", "CopyObject b: archived"), ("new1", "InternalError")]
    assert live.contents() == {"a": b"good", "b": b"bad", "c": b"good", "new1": b"bad"}
    assert (result.copies, result.marked) == (2, 1)


@pytest.mark.parametrize(("count", "tried"), [(3, 3), (200, 80)])
def test_an_account_that_may_not_copy_ends_it_early(
    live: Live, monkeypatch: pytest.MonkeyPatch, count: int, tried: int
) -> None:
    keys = [f"data/{number}" for number in range(count)]
    for key in keys:
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in keys:
        live.s3.put(BUCKET, key, b"bad")
    requests = []

    def denied(bucket: str, key: str, *_: object) -> str:
        requests.append(key)
        raise AccessDenied("CopyObject: AccessDenied")

    monkeypatch.setattr(live.s3, "copy_back", denied)
    with pytest.raises(AccessDenied):
        live.roll_back(info)
    assert len(requests) <= tried


def test_a_copy_that_is_denied_is_one_failure(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"bad")
    live.s3.denied.add("a")
    _, result = live.roll_back(info)
    assert result.failures == [("a", "AccessDenied (HTTP 403)")], "the key is not named twice"
    assert result.copies == 1


def test_copies_whose_ids_the_server_does_not_tell_are_recorded_and_no_others(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ceph RGW 16 tells none. Somebody has written the same before the roll back began, which is no copy of it."""
    live.s3.put(BUCKET, "a", b"good")
    info = live.capture()
    live.s3.put(BUCKET, "a", b"bad")
    copy = live.s3.copy_back

    def copy_back(*arguments: str | int) -> str:
        copy(*arguments)  # type: ignore[arg-type]
        return ""

    monkeypatch.setattr(live.s3, "copy_back", copy_back)
    monkeypatch.setattr("rwm.rollback.execute._SETTLE", 0)
    with live.plan(info) as plan:
        live.s3.copy(BUCKET, "a", live.s3.buckets[BUCKET]["a"][-1].version_id, BUCKET)
        live.s3.now += 5000
        live.execute(plan)
    assert [change.version_id for change in live.recorded()] == [live.s3.buckets[BUCKET]["a"][0].version_id]


def test_snapshots_come_last_and_go_first(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("snapshots/1", "index/1", "data/aa/1", "config", "keys/1")
    for key in kinds:
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in kinds:
        live.s3.put(BUCKET, key, b"bad")
        live.s3.put(BUCKET, key.replace("1", "2") + "x", b"bad")
    with live.plan(info) as plan:
        order = [(change.did, change.key) for change in plan.spool]
    copied = [key for did, key in order if did == "copied"]
    marked = [key for did, key in order if did == "marked"]
    assert copied == ["config", "data/aa/1", "keys/1", "index/1", "snapshots/1"]
    assert marked == ["snapshots/2x", "index/2x", "configx", "data/aa/2x", "keys/2x"]
    assert order.index(("marked", "snapshots/2x")) > order.index(("copied", "snapshots/1"))


def test_the_undo_file_is_private_and_never_replaced(live: Live) -> None:
    live.s3.put(BUCKET, "a", b"good")
    info = live.capture()
    live.s3.put(BUCKET, "a", b"bad")
    path, _ = live.roll_back(info)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with live.plan(info) as plan, pytest.raises(Exception, match="File exists"):
        write_undo_file(path, new_operation(live.s3, "undo", HERE), plan)
    assert path.exists()


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadState, match="fifo: the record is empty"):
        open_undo_file(tmp_path / "fifo")


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_undo_file_is_whole_or_not_there(live: Live, tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "undo" / "file.gz"
    with (
        live.plan(live.capture()) as plan,
        patch("rwm.rollback.undo.os.fsync", side_effect=fault),
        pytest.raises((UsageError, KeyboardInterrupt)),
    ):
        write_undo_file(path, new_operation(live.s3, "undo", HERE), plan)
    assert not path.exists()
