"""Deletion of a bucket ends, whatever the server answers and even if others write meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from rwm.errors import AccessDenied, BadResponse, NotFound
from rwm.location import Location
from rwm.s3 import DeleteFailure
from rwm.s3.objects import NOT_CONFIRMED
from rwm.storage import delete_storage
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


class RecordingS3(MemoryS3):
    """Records the order of requests. ``kept`` are keys that it reports as deleted and still lists."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.uploads = [("a", "u1", 0), ("b", "u2", 0)]
        self.abort_errors: dict[str, type[Exception]] = {}
        self.kept: set[str] = set()
        self.done: list[str] = []

    def unfinished_uploads(self, bucket: str, *, page_size: int = 1000, by: str = "") -> Iterator[tuple[str, str, int]]:
        self._of(bucket)
        return iter(self.uploads)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.done.append(f"abort {upload_id}")
        if upload_id in self.abort_errors:
            raise self.abort_errors[upload_id]("AbortMultipartUpload")

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        self.done.append("delete")
        assert self.done.count("delete") < 10
        return super().delete_versions(bucket, [pair for pair in exact if pair[0] not in self.kept])


def test_uploads_are_aborted_before_versions_are_deleted() -> None:
    s3 = RecordingS3()
    s3.put(BUCKET, "key", b"1")
    assert delete_storage(s3, Location(BUCKET)) == []
    assert s3.done == ["abort u1", "abort u2", "delete", "abort u1", "abort u2"], "also those of meanwhile"
    assert not s3.bucket_exists(BUCKET)


def test_only_a_missing_upload_is_ignored() -> None:
    s3 = RecordingS3()
    s3.abort_errors = {"u1": AccessDenied}
    with pytest.raises(AccessDenied):
        delete_storage(s3, Location(BUCKET))
    assert s3.bucket_exists(BUCKET)
    s3.abort_errors = {"u1": NotFound}
    assert delete_storage(s3, Location(BUCKET)) == []


def test_a_version_reported_deleted_but_still_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.delete.DELETE_BATCH", 2)
    s3 = RecordingS3()
    for key in "abcdef":
        s3.put(BUCKET, key, b"1")
    s3.kept = {"c"}
    with pytest.raises(BadResponse, match="'c'"):
        delete_storage(s3, Location(BUCKET))
    assert [*s3.present(BUCKET)] == ["c"]


class UnconfirmingS3(RecordingS3):
    """Confirms no deletion. Adds a marker to ``kept`` keys, as a server that ignores version ids does."""

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        super().delete_versions(bucket, exact)
        for key in {key for key, _ in exact} & self.kept:
            self.delete(bucket, key)
        return [DeleteFailure(*pair, NOT_CONFIRMED) for pair in exact]


def test_an_unconfirmed_deletion_counts_when_no_longer_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.delete.DELETE_BATCH", 2)
    s3 = UnconfirmingS3()
    for key in "abcde":
        s3.put(BUCKET, key, b"1")
    assert delete_storage(s3, Location(BUCKET)) == []
    assert not s3.bucket_exists(BUCKET)


@pytest.mark.parametrize("batch", [2, 3, 100])
def test_an_unconfirmed_deletion_that_is_still_listed_is_a_failure(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.delete.DELETE_BATCH", batch)
    s3 = UnconfirmingS3()
    for key in "abcdef":
        s3.put(BUCKET, key, b"1")
    s3.kept = {"c", "d"}
    failures = delete_storage(s3, Location(BUCKET))
    assert failures
    assert {failure.key for failure in failures} <= s3.kept
    assert {failure.code for failure in failures} == {NOT_CONFIRMED}
    assert s3.bucket_exists(BUCKET)


def test_a_refused_version_is_returned_at_once() -> None:
    s3 = RecordingS3()
    s3.put(BUCKET, "key", b"1")
    version = s3.present(BUCKET)["key"]
    s3.stuck = {("key", version): "AccessDenied"}
    assert delete_storage(s3, Location(BUCKET)) == [("key", version, "AccessDenied")]
    assert s3.done.count("delete") == 1


def test_deletion_continues_while_keys_are_written() -> None:
    """A key that is written again has another version id."""
    s3 = RecordingS3()
    s3.put(BUCKET, "key", b"1")
    written = iter([b"2", b"3"])

    def progress(_: int) -> None:
        if body := next(written, None):
            s3.put(BUCKET, "key", body)

    assert delete_storage(s3, Location(BUCKET), progress) == []
    assert not s3.bucket_exists(BUCKET)


def test_a_prefix_is_deleted_and_the_bucket_stays() -> None:
    s3 = RecordingS3()
    s3.uploads = [("host1/a", "u1", 0), ("host10/b", "u2", 0)]
    for key in ("host1/config", "host1/rwm/states/x", "host10/config", "host1"):
        s3.put(BUCKET, key, b"1")
    s3.delete(BUCKET, "host1/config")
    assert delete_storage(s3, Location(BUCKET, "host1/")) == []
    assert {entry.key for entry in s3.versions(BUCKET)} == {"host10/config", "host1"}
    assert s3.done == ["abort u1", "delete", "abort u1"]
