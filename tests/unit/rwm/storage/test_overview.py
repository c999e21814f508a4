"""All buckets of an account: one that cannot be checked does not hide the others."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, Unreachable
from rwm.storage import list_storage
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import SHARED, good


def test_an_error_is_in_the_row_of_its_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"bucket{number}" for number in range(200)]
    s3 = MemoryS3(*names)
    s3.policies["bucket1"] = good(SHARED)
    errors = {"bucket3": AccessDenied("GetBucketVersioning bucket3: AccessDenied"), "bucket150": Unreachable("timeout")}
    versioning = s3.versioning

    def fail(bucket: str) -> str:
        if bucket in errors:
            raise errors[bucket]
        return versioning(bucket)

    monkeypatch.setattr(s3, "versioning", fail)
    counted: list[int] = []
    rows = list_storage(s3, reversed([*names, "gone"]), counted.append)
    assert [row.bucket for row in rows] == sorted([*names, "gone"])
    assert sum(counted) == 201
    assert {row.bucket: row.error for row in rows if row.error} == {
        "bucket3": "GetBucketVersioning bucket3: AccessDenied",
        "bucket150": "timeout",
        "gone": "bucket gone: NoSuchBucket",
    }
    found = {row.bucket: row.inspection for row in rows if row.inspection}
    assert found["bucket1"] == ([], SHARED)
    assert [item.code for item in found["bucket2"].drift] == ["policy-missing"]
