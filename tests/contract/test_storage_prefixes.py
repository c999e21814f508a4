"""Two machines in one bucket, each with a prefix: what their keys can do, as the table in docs/servers.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from rwm.errors import NotFound
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import create_storage, inspect_storage
from tests import ROOT
from tests.contract.buckets import Written, unique, written
from tests.servers import Server

OWN, OTHER = "host1/", "host2/"
REFUSED, ALLOWED = "refused", "allowed"
SERVERS = ["rgw", "seaweedfs"]


@dataclass
class SharedBucket:
    """A bucket of two machines: user1 has host1/, user2 has host2/ with history and an unfinished upload in it."""

    server: Server
    admin: S3
    user1: S3
    user2: S3
    bucket: str
    version: str
    marker: str
    upload: str
    own_upload: str
    number: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    @classmethod
    def create(cls, server: Server) -> SharedBucket:
        admin, user1, user2 = (server.connect(account) for account in ("admin", "user1", "user2"))
        bucket = unique("shared")
        create_storage(admin, bucket, f"user1:{OWN}", f"user2:{OTHER}")
        version = user2.put(bucket, "host2/key", b"first")
        user2.put(bucket, "host2/key", b"second")
        user2.put(bucket, "host2/gone", b"gone")
        user2.delete(bucket, "host2/gone")
        marker = next(each.version_id for each in admin.versions(bucket, "host2/gone") if each.is_marker)
        for key in ("host10/key", "host"):
            admin.put(bucket, key, b"admin")
        uploads: list[str] = []
        for s3, key in ((user2, "host2/upload"), (user1, "host1/upload")):
            upload = s3.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            s3.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
            uploads.append(upload)
        user1.put(bucket, "host1/key", b"own")
        return cls(server, admin, user1, user2, bucket, version, marker, uploads[0], uploads[1])

    def foreign(self) -> list[Written]:
        """Everything that is not below host1/."""
        return [entry for entry in written(self.admin.versions(self.bucket)) if not entry.key.startswith(OWN)]

    def key(self) -> str:
        """A new key of user1."""
        return f"{OWN}{next(self.number)}"


@pytest.fixture(scope="module", params=SERVERS)
def shared(request: pytest.FixtureRequest) -> SharedBucket:
    """One on each server, shared by attempts that must not change what belongs to user2."""
    return SharedBucket.create(request.getfixturevalue(request.param))


def code_of(call: Callable[[], Any]) -> str:
    """``allowed``, or ``refused``; any other answer than 403 is an error."""
    try:
        call()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        return REFUSED
    return ALLOWED


def every(*calls: Callable[[], Any]) -> str:
    """The outcome of calls that must all have the same."""
    outcomes = {code_of(call) for call in calls}
    assert len(outcomes) == 1, [code_of(call) for call in calls]
    return outcomes.pop()


def work(b: SharedBucket) -> str:
    """All that restic and `rwm backup` do in their own prefix."""
    s3, client, name, key = b.user1, b.user1.client, b.bucket, b.key()
    s3.put(name, key, b"1")
    assert s3.get(name, key) == b"1"
    assert s3.size(name, key) == 1
    assert key in {entry.key for entry in s3.versions(name, OWN)}
    for found in (client.list_objects_v2(Bucket=name, Prefix=OWN), client.list_objects(Bucket=name, Prefix=OWN)):
        assert key in {item["Key"] for item in found["Contents"]}
    with pytest.raises(NotFound):
        s3.size(name, b.key())
    s3.delete(name, key)
    answer = client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key}]})
    assert not answer.get("Errors")
    upload = client.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
    client.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=1, Body=b"1")
    assert client.list_parts(Bucket=name, Key=key, UploadId=upload)["Parts"]
    s3.abort_upload(name, key, upload)
    return ALLOWED


def read_settings(b: SharedBucket) -> str:
    """The check with the keys of a machine."""
    found = inspect_storage(b.user1, Location(b.bucket, OWN))
    assert found.drift == []
    users = [(access.user.rpartition("/")[2], access.prefix) for access in found.users]
    assert users == [("user1", OWN), ("user2", OTHER)]
    return ALLOWED


def bucket_counts(b: SharedBucket) -> str:
    """Whether the answer to HeadBucket has headers about the contents."""
    headers = b.user1.client.head_bucket(Bucket=b.bucket)["ResponseMetadata"]["HTTPHeaders"]
    return ALLOWED if any(re.search("count|used|size", name) for name in headers) else REFUSED


def multi_delete(b: SharedBucket) -> str:
    """One request for an own key, and for keys, a version and a marker of user2."""
    own = b.key()
    foreign = [
        {"Key": "host2/key"},
        {"Key": "host2/new"},
        {"Key": "host2/key", "VersionId": b.version},
        {"Key": "host2/gone", "VersionId": b.marker},
    ]
    answer: Any = b.user1.client.delete_objects(Bucket=b.bucket, Delete={"Objects": [{"Key": own}, *foreign]})  # type: ignore[list-item]
    assert [item["Key"] for item in answer["Deleted"]] == [own]
    assert [item["Code"] for item in answer["Errors"]] == ["AccessDenied"] * len(foreign)
    return REFUSED


def listings(b: SharedBucket, **arguments: str) -> list[Callable[[], Any]]:
    client = b.user1.client
    calls = (client.list_objects_v2, client.list_objects, client.list_object_versions, client.list_multipart_uploads)
    return [lambda call=call: call(Bucket=b.bucket, **arguments) for call in calls]  # type: ignore[misc]


def list_beyond(b: SharedBucket) -> str:
    """Listings of the own prefix that begin after it, or name a second prefix: nothing of user2 is in them."""
    for text in (
        {"StartAfter": OTHER},
        {"ContinuationToken": OTHER},
        {"Delimiter": "2"},
        {"Prefix": f"{OWN}../{OTHER}"},
        {"Prefix": f"{OWN}*"},
    ):
        answer: Any = b.user1.client.list_objects_v2(**{"Bucket": b.bucket, "Prefix": OWN, **text})  # type: ignore[arg-type]
        assert all(item["Key"].startswith(OWN) for item in answer.get("Contents", []))
        assert all(item["Prefix"].startswith(OWN) for item in answer.get("CommonPrefixes", []))
    pages = b.user1.list_pages(b.bucket, OWN)
    assert all(entry.key.startswith(OWN) for page in pages for entry in page.versions)
    return REFUSED


def dots(b: SharedBucket) -> str:
    """Keys that lead out of the prefix on a filesystem are refused, or are ordinary keys below it."""
    outcomes = set()
    for key in ("host1/../host2/key", "host1//../host2/key", "host1/./../host2/key"):
        try:
            b.user1.client.put_object(Bucket=b.bucket, Key=key, Body=b"evil")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
            outcomes.add(REFUSED)
        else:
            assert b.user1.get(b.bucket, key) == b"evil"
            outcomes.add("keys of its own")
    assert len(outcomes) == 1
    return outcomes.pop()


def exists(b: SharedBucket) -> str:
    """Whether the answers for a key of user2 and for an absent key differ."""
    statuses = []
    for key in ("host2/key", "host2/none"):
        with pytest.raises(ClientError) as error:
            b.user1.client.head_object(Bucket=b.bucket, Key=key)
        statuses.append(error.value.response["ResponseMetadata"]["HTTPStatusCode"])
    return REFUSED if statuses == [403, 403] else ALLOWED


def foreign_upload_id(b: SharedBucket) -> str:
    """The id of user2's upload with a key of user1."""
    client, name, key = b.user1.client, b.bucket, b.key()
    calls: list[Callable[[], Any]] = [
        lambda: client.list_parts(Bucket=name, Key=key, UploadId=b.upload),
        lambda: client.upload_part(Bucket=name, Key=key, UploadId=b.upload, PartNumber=1, Body=b"evil"),
        lambda: client.abort_multipart_upload(Bucket=name, Key=key, UploadId=b.upload),
    ]
    for call in calls:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] in ("NoSuchUpload", "NoSuchKey", "AccessDenied")
    return REFUSED


def copy_older_version(b: SharedBucket) -> None:
    """Copy a version that is no longer current into a part of an upload."""
    key = b.key()
    version = b.user1.put(b.bucket, key, b"old")
    b.user1.put(b.bucket, key, b"new")
    source: Any = {"Bucket": b.bucket, "Key": key, "VersionId": version}
    b.user1.client.upload_part_copy(
        Bucket=b.bucket, Key="host1/upload", UploadId=b.own_upload, PartNumber=3, CopySource=source
    )


def read_by_path(b: SharedBucket) -> str:
    """The path at which SeaweedFS keeps a version. Writing and deleting there must not change the version."""
    key = b.key()
    version = b.user1.put(b.bucket, key, b"old")
    b.user1.put(b.bucket, key, b"new")
    path = f"{key}.versions/v_{version}"
    try:
        outcome = ALLOWED if b.user1.get(b.bucket, path) == b"old" else ""
    except NotFound:
        outcome = "no such key"
    for name in (path, f"{key}.versions", f"{key}.versions/"):
        b.user1.put(b.bucket, name, b"")
        b.user1.client.delete_objects(Bucket=b.bucket, Delete={"Objects": [{"Key": name}]})
        b.user1.delete(b.bucket, name)
    assert b.admin.get(b.bucket, key, version) == b"old"
    assert b.admin.get(b.bucket, key) == b"new"
    return outcome


def form(b: SharedBucket) -> str:
    """A form upload, whose key is in the body of the request."""
    post = b.user1.client.generate_presigned_post(b.bucket, "${filename}", Conditions=[["starts-with", "$key", ""]])
    done = requests.post(post["url"], post["fields"], files={"file": ("host2/form", b"evil")}, timeout=30)
    assert done.status_code == 403, done.text
    return REFUSED


def presigned(b: SharedBucket) -> str:
    """A URL signed with the keys of user1."""
    url = b.user1.client.generate_presigned_url("get_object", Params={"Bucket": b.bucket, "Key": "host2/key"})
    assert requests.get(url, timeout=30).status_code == 403
    return REFUSED


ATTEMPTS: dict[str, Callable[[SharedBucket], str]] = {
    "all that restic and `rwm backup` do below its prefix": work,
    "read the settings that `storage check` reads": read_settings,
    "list its own unfinished uploads (ListMultipartUploads)": lambda b: code_of(
        lambda: b.user1.client.list_multipart_uploads(Bucket=b.bucket, Prefix=OWN)
    ),
    "HeadBucket": lambda b: code_of(lambda: b.user1.client.head_bucket(Bucket=b.bucket)),
    "HeadBucket: number and size of all objects in the bucket": bucket_counts,
    "read an older version of its own": lambda b: code_of(
        lambda: b.user1.client.get_object(
            Bucket=b.bucket,
            Key="host1/key",
            VersionId=next(each.version_id for each in b.admin.versions(b.bucket, "host1/key")),
        )
    ),
    "the same by UploadPartCopy": lambda b: code_of(lambda: copy_older_version(b)),
    "the same by its path on SeaweedFS, `KEY.versions/v_VERSION`": read_by_path,
    "GetObject, HeadObject": lambda b: every(
        lambda: b.user1.client.get_object(Bucket=b.bucket, Key="host2/key"),
        lambda: b.user1.client.get_object(Bucket=b.bucket, Key="host2/key", VersionId=b.version),
        lambda: b.user1.client.head_object(Bucket=b.bucket, Key="host2/key"),
    ),
    "HeadObject: does a key exist?": exists,
    "GetObject by a presigned URL": presigned,
    "PutObject: over a key, a new one, a state file, `host10/key`, `host1`, at the root": lambda b: every(
        *(
            lambda key=key: b.user1.client.put_object(Bucket=b.bucket, Key=key, Body=b"evil")
            for key in (
                "host2/key",
                "host2/new",
                "host10/key",
                "host1",
                "new",
                "Host1/key",
                "/host2/key",
                "host2",
                "host2/rwm/states/x",
                "rwm/states/x",
            )
        )
    ),
    "PutObject by a form (POST)": form,
    "DeleteObject: a key, a version, a delete marker": lambda b: every(
        lambda: b.user1.client.delete_object(Bucket=b.bucket, Key="host2/key"),
        lambda: b.user1.client.delete_object(Bucket=b.bucket, Key="host2/new"),
        lambda: b.user1.client.delete_object(Bucket=b.bucket, Key="host2/key", VersionId=b.version),
        lambda: b.user1.client.delete_object(Bucket=b.bucket, Key="host2/gone", VersionId=b.marker),
    ),
    "DeleteObjects: the same in one request with own keys": multi_delete,
    "CopyObject from there, also of a version": lambda b: every(
        lambda: b.user1.client.copy_object(Bucket=b.bucket, Key=b.key(), CopySource=f"{b.bucket}/host2/key"),
        lambda: b.user1.client.copy_object(
            Bucket=b.bucket,
            Key=b.key(),
            CopySource={"Bucket": b.bucket, "Key": "host2/key", "VersionId": b.version},
        ),
    ),
    "CopyObject to there": lambda b: code_of(
        lambda: b.user1.client.copy_object(Bucket=b.bucket, Key="host2/key", CopySource=f"{b.bucket}/host1/key")
    ),
    "CopyObject within its own prefix": lambda b: code_of(
        lambda: b.user1.client.copy_object(Bucket=b.bucket, Key=b.key(), CopySource=f"{b.bucket}/host1/key")
    ),
    "UploadPartCopy from there, also of a version": lambda b: every(
        *(
            lambda source=source: b.user1.client.upload_part_copy(
                Bucket=b.bucket, Key="host1/upload", UploadId=b.own_upload, PartNumber=2, CopySource=source
            )
            for source in (
                {"Bucket": b.bucket, "Key": "host2/key"},
                {"Bucket": b.bucket, "Key": "host2/key", "VersionId": b.version},
            )
        )
    ),
    "CreateMultipartUpload, UploadPart, ListParts, Complete, Abort": lambda b: every(
        lambda: b.user1.client.create_multipart_upload(Bucket=b.bucket, Key="host2/new"),
        lambda: b.user1.client.upload_part(
            Bucket=b.bucket, Key="host2/upload", UploadId=b.upload, PartNumber=1, Body=b"evil"
        ),
        lambda: b.user1.client.list_parts(Bucket=b.bucket, Key="host2/upload", UploadId=b.upload),
        lambda: b.user1.client.complete_multipart_upload(
            Bucket=b.bucket,
            Key="host2/upload",
            UploadId=b.upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]},
        ),
        lambda: b.user1.client.abort_multipart_upload(Bucket=b.bucket, Key="host2/upload", UploadId=b.upload),
    ),
    "the other's upload id with an own key": foreign_upload_id,
    "the four listings without a prefix, or with an empty one": lambda b: every(
        *listings(b), *listings(b, Prefix=""), *listings(b, Delimiter="/")
    ),
    "the four listings of `host2/`, `host1` or `host`": lambda b: every(
        *(call for prefix in ("host2/", "host1", "host", "Host1/", "/host2/") for call in listings(b, Prefix=prefix)),
        *listings(b, Prefix="host1", Delimiter="/"),
    ),
    "listings of `host1/` that begin at `host2/`": list_beyond,
    "keys as `host1/../host2/key`": dots,
    "ACLs and tags: read, write, delete": lambda b: every(
        lambda: b.user1.client.get_object_acl(Bucket=b.bucket, Key="host2/key"),
        lambda: b.user1.client.put_object_acl(Bucket=b.bucket, Key="host2/key", ACL="public-read"),
        lambda: b.user1.client.get_object_tagging(Bucket=b.bucket, Key="host2/key"),
        lambda: b.user1.client.put_object_tagging(Bucket=b.bucket, Key="host2/key", Tagging={"TagSet": []}),
        lambda: b.user1.client.delete_object_tagging(Bucket=b.bucket, Key="host2/key"),
    ),
    "policy, versioning, lifecycle, ACL of the bucket": lambda b: every(
        lambda: b.user1.client.put_bucket_policy(Bucket=b.bucket, Policy='{"Version":"2012-10-17","Statement":[]}'),
        lambda: b.user1.client.delete_bucket_policy(Bucket=b.bucket),
        lambda: b.user1.client.put_bucket_versioning(Bucket=b.bucket, VersioningConfiguration={"Status": "Suspended"}),
        lambda: b.user1.client.delete_bucket_lifecycle(Bucket=b.bucket),
        lambda: b.user1.client.put_bucket_acl(Bucket=b.bucket, ACL="public-read-write"),
        lambda: b.user1.client.delete_bucket(Bucket=b.bucket),
    ),
}
"""What user1 tries, by the first column of the table in docs/servers.md; the outcome is a cell of its row."""


THREATS: dict[str, tuple[str, ...]] = {
    "read an object, list names and sizes, read ACLs and tags": (
        "GetObject, HeadObject",
        "GetObject by a presigned URL",
        "CopyObject from there, also of a version",
        "UploadPartCopy from there, also of a version",
        "the four listings without a prefix, or with an empty one",
        "the four listings of `host2/`, `host1` or `host`",
        "listings of `host1/` that begin at `host2/`",
        "ACLs and tags: read, write, delete",
    ),
    "write or overwrite an object, also a state file of host2 or of the bucket": (
        "PutObject: over a key, a new one, a state file, `host10/key`, `host1`, at the root",
        "PutObject by a form (POST)",
        "CopyObject to there",
    ),
    "hide an object by a delete marker, delete a version": (
        "DeleteObject: a key, a version, a delete marker",
        "DeleteObjects: the same in one request with own keys",
    ),
    "disturb an upload": (
        "CreateMultipartUpload, UploadPart, ListParts, Complete, Abort",
        "the other's upload id with an own key",
    ),
    "weaken the protection of the bucket": ("policy, versioning, lifecycle, ACL of the bucket",),
    "learn which machines there are, from the policy": ("read the settings that `storage check` reads",),
    "learn how many objects and bytes the whole bucket has": (
        "HeadBucket: number and size of all objects in the bucket",
    ),
    "learn whether host2 has a key with a known name": ("HeadObject: does a key exist?",),
    "read older versions of its own objects": (
        "read an older version of its own",
        "the same by UploadPartCopy",
        "the same by its path on SeaweedFS, `KEY.versions/v_VERSION`",
    ),
}
"""The table in docs/threat-model.md, and the attempts that show each cell: it is allowed if one of them is."""


def documented(name: str, heading: str) -> dict[str, dict[str, str]]:
    """The table below a heading: outcome by server, by title."""
    text = (ROOT / "docs" / name).read_text()
    table = text.partition(f"## {heading}\n")[2].partition("|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {title: {"rgw": rgw.strip("*"), "seaweedfs": seaweedfs.strip("*")} for title, rgw, seaweedfs in rows}


OUTCOMES = documented("servers.md", "Several machines in one bucket")


def test_the_threat_model_says_what_was_measured() -> None:
    found = {
        title: {
            server: ALLOWED if ALLOWED in {OUTCOMES[attempt][server] for attempt in attempts} else REFUSED
            for server in SERVERS
        }
        for title, attempts in THREATS.items()
    }
    assert documented("threat-model.md", "One machine of several in a bucket") == found


def test_the_table_lists_every_attempt() -> None:
    assert list(OUTCOMES) == list(ATTEMPTS)


@pytest.mark.parametrize("title", ATTEMPTS)
def test_the_table_is_right(shared: SharedBucket, title: str) -> None:
    before = shared.foreign()
    outcome = ATTEMPTS[title](shared)
    assert outcome == OUTCOMES[title][shared.server.name]
    assert shared.foreign() == before
    assert shared.user2.get(shared.bucket, "host2/key") == b"second"
    parts: Any = shared.user2.client.list_parts(Bucket=shared.bucket, Key="host2/upload", UploadId=shared.upload)
    assert [part["Size"] for part in parts["Parts"]] == [4]
