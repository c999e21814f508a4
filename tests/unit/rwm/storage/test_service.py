"""Deleting a bucket: it ends, whatever the server and the bucket's user do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from rwm.errors import AccessDenied, BadResponse, NotFound
from rwm.s3 import DeleteFailure
from rwm.s3.objects import NOT_CONFIRMED
from rwm.storage import delete_storage, service
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


class Server(MemoryS3):
    """Remembers what was done in which order. ``kept`` are keys that it says are deleted and lists all the same."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.uploads = [("a", "u1", 0), ("b", "u2", 0)]
        self.unknown: dict[str, type[Exception]] = {}
        self.kept: set[str] = set()
        self.done: list[str] = []

    def unfinished_uploads(self, bucket: str, *, page_size: int = 1000) -> Iterator[tuple[str, str, int]]:
        self._of(bucket)
        return iter(self.uploads)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.done.append(f"abort {upload_id}")
        if upload_id in self.unknown:
            raise self.unknown[upload_id]("AbortMultipartUpload")

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        self.done.append("delete")
        assert self.done.count("delete") < 10
        return super().delete_versions(bucket, [pair for pair in exact if pair[0] not in self.kept])


def test_uploads_end_before_any_version_is_deleted() -> None:
    s3 = Server()
    s3.put(BUCKET, "key", b"1")
    assert delete_storage(s3, BUCKET) == []
    assert s3.done == ["abort u1", "abort u2", "delete"]
    assert not s3.bucket_exists(BUCKET)


def test_an_upload_that_is_gone_is_no_obstacle_and_any_other_refusal_is() -> None:
    s3 = Server()
    s3.unknown = {"u1": AccessDenied}
    with pytest.raises(AccessDenied):
        delete_storage(s3, BUCKET)
    assert s3.bucket_exists(BUCKET)
    s3.unknown = {"u1": NotFound}
    assert delete_storage(s3, BUCKET) == []


def test_a_server_that_says_deleted_and_lists_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DELETE_CHUNK", 2)
    s3 = Server()
    for key in "abcdef":
        s3.put(BUCKET, key, b"1")
    s3.kept = {"c"}
    with pytest.raises(BadResponse, match="'c'"):
        delete_storage(s3, BUCKET)
    assert [*s3.present(BUCKET)] == ["c"]


class Silent(Server):
    """Confirms nothing. Of the keys that are ``kept`` it makes markers, as a server that ignores version ids does."""

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        super().delete_versions(bucket, exact)
        for key in {key for key, _ in exact} & self.kept:
            self.delete(bucket, key)
        return [DeleteFailure(*pair, NOT_CONFIRMED) for pair in exact]


def test_what_is_not_confirmed_and_not_listed_any_more_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DELETE_CHUNK", 2)
    s3 = Silent()
    for key in "abcde":
        s3.put(BUCKET, key, b"1")
    assert delete_storage(s3, BUCKET) == []
    assert not s3.bucket_exists(BUCKET)


@pytest.mark.parametrize("chunk", [2, 3, 100])
def test_what_is_not_confirmed_and_still_listed_is_kept(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DELETE_CHUNK", chunk)
    s3 = Silent()
    for key in "abcdef":
        s3.put(BUCKET, key, b"1")
    s3.kept = {"c", "d"}
    failures = delete_storage(s3, BUCKET)
    assert failures
    assert {failure.key for failure in failures} <= s3.kept
    assert {failure.code for failure in failures} == {NOT_CONFIRMED}
    assert s3.bucket_exists(BUCKET)


def test_what_is_refused_ends_it_at_once() -> None:
    s3 = Server()
    s3.put(BUCKET, "key", b"1")
    version = s3.present(BUCKET)["key"]
    s3.stuck = {("key", version): "AccessDenied"}
    assert delete_storage(s3, BUCKET) == [("key", version, "AccessDenied")]
    assert s3.done.count("delete") == 1


def test_deletion_goes_on_while_somebody_writes() -> None:
    """A key that is there again has another version: that is no lie of the server."""
    s3 = Server()
    s3.put(BUCKET, "key", b"1")
    written = iter([b"2", b"3"])

    def progress(_: int) -> None:
        if body := next(written, None):
            s3.put(BUCKET, "key", body)

    assert delete_storage(s3, BUCKET, progress) == []
    assert not s3.bucket_exists(BUCKET)
