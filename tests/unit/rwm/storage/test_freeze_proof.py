"""The proof of a freeze: every way to write has to be refused, and nothing is left of what got through."""

from __future__ import annotations

from typing import Any

import pytest

from rwm.errors import AccessDenied
from rwm.location import Location
from rwm.storage import prove_freeze
from tests.unit.memory import MemoryS3

HERE = Location("bucket1", "host1/")


class Machine(MemoryS3):
    """A machine that may do some operations; after ``denied_after`` calls it may do none."""

    def __init__(self, admin: MemoryS3, *allowed: str, denied_after: int = 1 << 30) -> None:
        super().__init__()
        self.admin = admin
        self.allowed = allowed
        self.left = denied_after
        self.called: list[str] = []

    def call(self, operation: str, **parameters: Any) -> Any:
        self.called.append(operation)
        self.left -= 1
        if operation not in self.allowed or self.left < 0:
            raise AccessDenied(f"{operation}: AccessDenied")
        if operation == "put_object":
            self.admin.put(parameters["Bucket"], parameters["Key"], b"")


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> MemoryS3:
    monkeypatch.setattr("rwm.storage.freeze_proof._PROOF_SECONDS", 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return MemoryS3("bucket1")


def test_everything_is_refused(admin: MemoryS3) -> None:
    machine = Machine(admin)
    assert {each.outcome for each in prove_freeze(admin, machine, HERE, reads=True)} == {"refused"}
    assert machine.called == ["put_object", "delete_object", "create_multipart_upload"]


@pytest.mark.parametrize("allowed", ["put_object", "delete_object", "create_multipart_upload"])
def test_one_way_to_write_is_no_freeze(admin: MemoryS3, allowed: str) -> None:
    found = prove_freeze(admin, Machine(admin, allowed), HERE, reads=True)
    assert [each.outcome for each in found].count("NOT REFUSED") == 1
    assert not any(admin.buckets["bucket1"].values())


def test_a_listing_has_to_be_refused_where_reads_are_off(admin: MemoryS3) -> None:
    found = prove_freeze(admin, Machine(admin, "list_objects_v2"), HERE, reads=False)
    assert [(each.operation, each.outcome) for each in found][-1] == ("ListObjectsV2", "NOT REFUSED")


def test_a_policy_that_takes_effect_later_is_waited_for(admin: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.freeze_proof._PROOF_SECONDS", 60)
    machine = Machine(admin, "put_object", denied_after=1)
    assert {each.outcome for each in prove_freeze(admin, machine, HERE, reads=True)} == {"refused"}
    assert len(machine.called) == 6
    assert not any(admin.buckets["bucket1"].values())
