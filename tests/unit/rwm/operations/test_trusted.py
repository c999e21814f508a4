"""Which records of operations count: those of the index, and those that no user can have written."""

from __future__ import annotations

import io
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from rwm.errors import AccessDenied, RwmError, SpoolFull, Unreachable
from rwm.index import Index
from rwm.location import Location
from rwm.model import Operation, OperationChange
from rwm.operations import (
    begin_operation,
    list_records,
    new_operation,
    open_record,
    open_stored,
    record_key,
    trusted_changes,
)
from tests.unit.memory import START, MemoryS3

HERE = Location("bucket1")
CHANGES = [OperationChange("marked", "a", "m1", before="v1"), OperationChange("copied", "b/c", "v3", "v1", "v2")]
GONE = OperationChange("deleted", "d", "v9")


class Admin:
    """The admin's account, and its computers: each has an index of its own."""

    def __init__(self, directory: Path) -> None:
        self.s3 = MemoryS3("bucket1")
        self.s3.account = self.s3.owner
        self.first = Index.open(directory / "1" / "index.sqlite")
        self.second = Index.open(directory / "2" / "index.sqlite")

    def operate(self) -> Operation:
        """Run an operation on the first computer."""
        operation = new_operation(self.s3, "roll-back", HERE, "a note")
        with begin_operation(self.s3, self.first, operation, [CHANGES[0]._replace(version_id="")]) as log:
            log.add([CHANGES[0], GONE])
            log.add([CHANGES[1]])
        return operation

    def trusted(self, index: Index, location: Location = HERE, *, is_protected: bool = True) -> list[OperationChange]:
        found = list(trusted_changes(self.s3, index, location, lambda: is_protected))
        assert all(at >= START for at, _ in found)
        return [change for _, change in found]


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    return Admin(tmp_path)


def test_the_index_records_what_was_done_without_what_was_removed(admin: Admin) -> None:
    operation = admin.operate()
    (recorded,) = admin.first.operations.recorded("bucket1")
    assert recorded == operation._replace(ended_at=recorded.ended_at)
    assert recorded.ended_at is not None
    assert recorded.ended_at >= operation.at
    assert admin.trusted(admin.first, is_protected=False) == CHANGES
    assert admin.trusted(admin.first) == CHANGES  # once, although the bucket has them too
    assert admin.trusted(admin.first, Location("bucket1", "b/"), is_protected=False) == [CHANGES[1]]
    assert list(admin.first.operations.changes(Location("other"))) == []
    assert list(admin.first.operations.changes(HERE, "f" * 16)) == []


def test_the_bucket_has_the_plan_and_then_all_that_was_done(admin: Admin) -> None:
    operation = admin.operate()
    (record,) = list_records(admin.s3, "bucket1")
    assert (record.key, record.kind, record.id) == (record_key(operation), "roll-back", operation.id)
    with open_stored(admin.s3, "bucket1", record) as found:
        assert found.operation.ended_at is not None
        assert list(found.changes()) == [CHANGES[0], GONE, CHANGES[1]]
    plan = open_record(io.BytesIO(admin.s3.get("bucket1", record.key, "v0")))
    assert plan.operation == operation
    assert list(plan.changes()) == [CHANGES[0]._replace(version_id="")]


def test_the_end_of_an_operation_does_not_hold_its_changes(admin: Admin) -> None:
    """A roll back may have made millions."""
    with begin_operation(admin.s3, admin.first, new_operation(admin.s3, "prune", HERE)) as log:
        for number in range(40):
            log.add([OperationChange("left", f"{number}/{'k' * 250}/{each}", "v1") for each in range(1000)])
        tracemalloc.start()
        log.end()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000  # of 12 million bytes


def test_another_computer_trusts_the_bucket_where_users_are_denied_to_write_records(admin: Admin) -> None:
    admin.operate()
    assert admin.trusted(admin.second) == CHANGES
    assert admin.trusted(admin.second, Location("bucket1", "b/")) == [CHANGES[1]]


def test_a_record_in_the_bucket_explains_nothing_without_the_deny(admin: Admin) -> None:
    admin.operate()
    assert admin.trusted(admin.second, is_protected=False) == []


def test_a_record_that_a_user_wrote_before_the_deny_explains_nothing(admin: Admin) -> None:
    admin.s3.account = "user1"
    admin.operate()
    assert admin.trusted(admin.second) == []


def test_records_of_prunes_are_not_read(admin: Admin) -> None:
    operation = new_operation(admin.s3, "prune", HERE)
    with begin_operation(admin.s3, admin.first, operation) as log:
        log.add(CHANGES)
    assert admin.trusted(admin.second) == []


def test_a_record_under_the_name_of_another_one_explains_nothing(admin: Admin) -> None:
    operation = admin.operate()
    body = admin.s3.get("bucket1", record_key(operation))
    for key in (record_key(operation._replace(id="f" * 16)), record_key(operation._replace(kind="prune"))):
        admin.s3.put("bucket1", key, body)
    admin.s3.put("bucket1", "rwm/admin/operations/other", body)
    admin.s3.buckets["bucket1"].pop(record_key(operation))
    assert admin.trusted(admin.second) == []


def test_a_record_of_another_bucket_explains_nothing(admin: Admin) -> None:
    operation = admin.operate()
    admin.s3.create_bucket("bucket2")
    admin.s3.put("bucket2", record_key(operation), admin.s3.get("bucket1", record_key(operation)))
    assert list(trusted_changes(admin.s3, admin.second, Location("bucket2"), lambda: True)) == []


def test_a_damaged_record_explains_nothing(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    operation = admin.operate()
    key = record_key(operation)
    admin.s3.put("bucket1", key, admin.s3.get("bucket1", key)[:-9])
    assert admin.trusted(admin.second) == []
    assert "is ignored" in caplog.text


@pytest.mark.parametrize("fault", [Unreachable("no answer"), SpoolFull("no room")])
def test_a_record_that_cannot_be_read_now_is_not_taken_for_one_that_explains_nothing(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, fault: RwmError
) -> None:
    admin.operate()

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(admin.s3, "stream", fail)
    with pytest.raises(type(fault)):
        admin.trusted(admin.second)


def test_an_operation_that_could_not_begin_is_not_recorded(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise AccessDenied("PutObject: AccessDenied")

    monkeypatch.setattr(admin.s3, "upload", denied)
    with pytest.raises(AccessDenied):
        admin.operate()
    assert admin.first.operations.recorded("bucket1") == []


def test_an_operation_that_was_interrupted_is_known_as_far_as_it_was_recorded(admin: Admin) -> None:
    operation = new_operation(admin.s3, "roll-back", HERE)
    with suppress(KeyboardInterrupt), begin_operation(admin.s3, admin.first, operation) as log:
        log.add(CHANGES[:1])
        raise KeyboardInterrupt
    assert [each.ended_at for each in admin.first.operations.recorded("bucket1")] == [None]
    assert admin.trusted(admin.first) == CHANGES[:1]
    assert admin.trusted(admin.second) == []
