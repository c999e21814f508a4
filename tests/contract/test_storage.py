"""Protected buckets on the real servers, accessed with the keys of the account they are protected against."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from rwm import process
from rwm.config import Credentials, S3Settings
from rwm.errors import AccessDenied, NotFound, Refused, RwmError, Unreachable, UsageError
from rwm.location import Location
from rwm.s3 import S3, connect
from rwm.storage import check_storage, create_storage, delete_storage, storage_info
from rwm.storage.policy import PUBLISHING_HEADERS, protected_policy
from rwm.storage.policy_probe import probe_policy
from rwm.storage.principals import user_principal
from rwm.storage.users import UserAccess
from tests.contract.buckets import Written, unique, versioned, written
from tests.servers import Server

BODY = b"what must survive"
FAR = datetime.now(UTC) + timedelta(days=36_500)
PUBLIC = "http://acs.amazonaws.com/groups/global/AllUsers"


class Protected:
    """A protected bucket with history in it, and clients for its admin and its user."""

    def __init__(self, server: Server, admin: str, user: str) -> None:
        self.admin = server.connect(admin)
        self.user = server.connect(user)
        self.bucket = unique("protected")
        self.principal = create_storage(self.admin, self.bucket, user.rpartition("$")[2])[0].user
        self.first = self.user.put(self.bucket, "data/00/pack", BODY)
        self.user.put(self.bucket, "data/00/pack", b"overwritten")
        self.user.put(self.bucket, "config", b"config")
        self.user.delete(self.bucket, "config")
        self.marker = next(v.version_id for v in self.admin.versions(self.bucket) if v.is_marker)

    def everything(self) -> list[Written]:
        return written(self.admin.versions(self.bucket))


PLACES = ["seaweedfs", "rgw", "rgw with a tenant"]


@pytest.fixture(params=PLACES)
def protected(request: pytest.FixtureRequest) -> Protected:
    """One on each server; on RGW also with accounts of a tenant."""
    return _protected(request)


@pytest.fixture(scope="module", params=PLACES)
def shared(request: pytest.FixtureRequest) -> Protected:
    """The same, shared by tests that must not change it."""
    return _protected(request)


def _protected(request: pytest.FixtureRequest) -> Protected:
    name, _, tenant = request.param.partition(" ")
    server: Server = request.getfixturevalue(name)
    return Protected(server, *(("t1$admin", "t1$user1") if tenant else ("admin", "user1")))


# --- what the user can and cannot do -------------------------------------------------------------------


def test_restic_works_with_the_keys_of_the_user(
    protected: Protected, request: pytest.FixtureRequest, restic_program: str
) -> None:
    keys = protected.user.settings.credentials
    assert isinstance(keys, Credentials)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "RESTIC_PASSWORD": "x",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "HOME": str(request.getfixturevalue("home")),
    }
    for arguments in (
        ["init"],
        ["backup", "/etc/hostname"],
        ["backup", "/etc/passwd"],
        ["forget", "--keep-last", "1", "--group-by", "", "--prune"],
        ["check", "--read-data"],
    ):
        run = [restic_program, "-q", "-r", f"s3:{protected.user.endpoint_url}/{protected.bucket}/repo", *arguments]
        done = process.run(run, env=environment)
        assert done.returncode == 0, (arguments, done.stderr)
    entries = [*protected.admin.versions(protected.bucket, "repo/")]
    assert {"repo/snapshots/", "repo/index/"} <= {entry.key[: entry.key.rindex("/") + 1] for entry in entries}
    assert any(entry.is_marker and entry.key.startswith("repo/snapshots/") for entry in entries)


def test_the_user_can_read_write_hide_and_list(protected: Protected) -> None:
    user, bucket = protected.user, protected.bucket
    assert user.get(bucket, "data/00/pack") == b"overwritten"
    assert written(user.versions(bucket)) == protected.everything()
    assert user.versioning(bucket) == "Enabled"
    assert check_storage(user, bucket) == []
    upload = user.client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    user.client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    assert [key for key, _, _ in user.unfinished_uploads(bucket)] == ["parts"]
    user.abort_upload(bucket, "parts", upload)


FORBIDDEN: dict[str, Callable[[Any, Protected], Any]] = {
    "delete a version": lambda s3, p: s3.delete_object(Bucket=p.bucket, Key="data/00/pack", VersionId=p.first),
    "delete a marker": lambda s3, p: s3.delete_object(Bucket=p.bucket, Key="config", VersionId=p.marker),
    "delete a version with bypass": lambda s3, p: s3.delete_object(
        Bucket=p.bucket, Key="data/00/pack", VersionId=p.first, BypassGovernanceRetention=True
    ),
    "suspend versioning": lambda s3, p: s3.put_bucket_versioning(
        Bucket=p.bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "put a policy": lambda s3, p: s3.put_bucket_policy(
        Bucket=p.bucket, Policy='{"Version":"2012-10-17","Statement":[]}'
    ),
    "delete the policy": lambda s3, p: s3.delete_bucket_policy(Bucket=p.bucket),
    "put a lifecycle": lambda s3, p: s3.put_bucket_lifecycle_configuration(
        Bucket=p.bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "x",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                }
            ]
        },
    ),
    "delete the lifecycle": lambda s3, p: s3.delete_bucket_lifecycle(Bucket=p.bucket),
    "bucket ACL": lambda s3, p: s3.put_bucket_acl(Bucket=p.bucket, ACL="public-read-write"),
    "object ACL": lambda s3, p: s3.put_object_acl(Bucket=p.bucket, Key="data/00/pack", ACL="public-read"),
    "ACL of a version": lambda s3, p: s3.put_object_acl(
        Bucket=p.bucket, Key="data/00/pack", VersionId=p.first, ACL="public-read"
    ),
    "tagging": lambda s3, p: s3.put_object_tagging(
        Bucket=p.bucket, Key="data/00/pack", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    ),
    "retention": lambda s3, p: s3.put_object_retention(
        Bucket=p.bucket, Key="data/00/pack", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": FAR}
    ),
    "legal hold": lambda s3, p: s3.put_object_legal_hold(
        Bucket=p.bucket, Key="data/00/pack", LegalHold={"Status": "ON"}
    ),
    "object lock of the bucket": lambda s3, p: s3.put_object_lock_configuration(
        Bucket=p.bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 36_500}},
        },
    ),
    "CORS": lambda s3, p: s3.put_bucket_cors(
        Bucket=p.bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    ),
    "delete the bucket": lambda s3, p: s3.delete_bucket(Bucket=p.bucket),
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_the_user_is_refused(shared: Protected, attempt: str) -> None:
    before = shared.everything()
    with pytest.raises(ClientError) as error:
        FORBIDDEN[attempt](shared.user.client, shared)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.value
    assert shared.everything() == before
    assert shared.admin.get(shared.bucket, "data/00/pack", shared.first) == BODY
    assert check_storage(shared.admin, shared.bucket) == []


def test_versions_in_a_batch_are_refused_one_by_one(shared: Protected) -> None:
    before = shared.everything()
    pairs = [("data/00/pack", shared.first), ("config", shared.marker)]
    failures = shared.user.delete_versions(shared.bucket, pairs)
    assert sorted((fail.key, fail.version_id, fail.code) for fail in failures) == sorted(
        (key, version, "AccessDenied") for key, version in pairs
    )
    assert shared.everything() == before


@pytest.mark.parametrize("header", PUBLISHING_HEADERS)
def test_public_acls_in_put_headers_are_refused(shared: Protected, header: str) -> None:
    before = shared.everything()
    value = "public-read" if header == "x-amz-acl" else f'uri="{PUBLIC}"'
    client = connect(shared.user.settings).client

    def add_header(request: AWSRequest, **_: object) -> None:
        request.headers[header] = value

    client.meta.events.register("before-sign.s3.PutObject", add_header)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=shared.bucket, Key="x", Body=b"")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert shared.everything() == before


def test_another_account_sees_nothing(rgw: Server) -> None:
    protected = Protected(rgw, "admin", "user1")
    stranger = rgw.connect("user2")
    before = protected.everything()
    for attempt in (
        lambda: stranger.get(protected.bucket, "data/00/pack"),
        lambda: stranger.put(protected.bucket, "data/00/pack", b"x"),
        lambda: stranger.delete(protected.bucket, "data/00/pack"),
        lambda: [*stranger.versions(protected.bucket)],
        lambda: stranger.policy(protected.bucket),
        lambda: stranger.acl(protected.bucket),
        lambda: stranger.bucket_exists(protected.bucket),
    ):
        with pytest.raises(AccessDenied):
            attempt()
    assert protected.everything() == before


def test_another_account_cannot_read_objects_by_version(seaweedfs: Server) -> None:
    """The identity policies of the embedded server admit user2 only to buckets of its own name."""
    protected = Protected(seaweedfs, "admin", "user1")
    stranger = seaweedfs.connect("user2")
    with pytest.raises(AccessDenied):
        stranger.get(protected.bucket, "data/00/pack")
    with pytest.raises(AccessDenied):
        stranger.put(protected.bucket, "x", b"")


def test_the_admin_reads_and_copies_what_the_user_wrote(protected: Protected) -> None:
    admin, bucket = protected.admin, protected.bucket
    assert admin.get(bucket, "data/00/pack", protected.first) == BODY
    assert admin.size(bucket, "data/00/pack", protected.first) == len(BODY)
    assert admin.reader(bucket).read_range("data/00/pack", protected.first, 5, 9) == BODY[5:9]
    target = versioned(admin, "copies")
    admin.copy(bucket, "data/00/pack", protected.first, target)
    assert admin.get(target, "data/00/pack") == BODY


# --- create ------------------------------------------------------------------------------------------------


def test_create_again_changes_nothing(server: Server) -> None:
    admin, bucket = server.connect(), unique("again")
    users = create_storage(admin, bucket, "user1")
    policy = admin.policy(bucket)
    assert create_storage(admin, bucket, "user1") == users
    assert admin.policy(bucket) == policy
    assert check_storage(admin, bucket) == []


@pytest.mark.parametrize("stage", ["bucket", "versioning", "probe"])
def test_create_goes_on_after_an_interruption(server: Server, stage: str) -> None:
    admin, bucket = server.connect(), unique("interrupted")
    admin.create_bucket(bucket)
    if stage != "bucket":
        admin.enable_versioning(bucket)
    if stage == "probe":
        model = unique("model")
        create_storage(admin, model, "user1")
        statements = (admin.policy(model) or {})["Statement"]
        who = next(each for each in statements if each["Sid"] == "RwmAdmin")["Principal"]["AWS"]
        admin.put_policy(bucket, probe_policy(bucket, who if isinstance(who, str) else who[0]))
    create_storage(admin, bucket, "user1")
    assert check_storage(admin, bucket) == []
    server.connect("user1").put(bucket, "key", b"1")


def test_create_refuses_a_bucket_with_history(server: Server) -> None:
    admin = server.connect()
    bucket = versioned(admin, "used")
    admin.delete(bucket, "only-a-marker")
    with pytest.raises(Refused, match="not empty"):
        create_storage(admin, bucket, "user1")
    assert admin.policy(bucket) is None


def test_create_refuses_a_bucket_with_a_policy_of_its_own(server: Server) -> None:
    admin, bucket = server.connect(), unique("foreign")
    principal = create_storage(admin, unique("model"), "user1")[0].user
    admin.create_bucket(bucket)
    policy = probe_policy(bucket, principal)
    policy["Statement"][0]["Action"] = ["s3:GetObject"]
    policy["Statement"][0]["Resource"] = [f"arn:aws:s3:::{bucket}/*"]
    admin.put_policy(bucket, policy)
    before = admin.policy(bucket)
    with pytest.raises(Refused, match="policy of its own"):
        create_storage(admin, bucket, "user1")
    assert admin.policy(bucket) == before


def test_create_for_the_admin_itself_is_refused(server: Server) -> None:
    with pytest.raises(Refused, match="admin account itself"):
        create_storage(server.connect(), unique("self"), "admin")


# --- check -------------------------------------------------------------------------------------------------

SUSPENDED = {"Status": "Suspended"}
RULE = {
    "ID": "eat",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}


def _statements(p: Protected, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    policy = p.admin.policy(p.bucket)
    assert policy is not None
    change(policy["Statement"])
    p.admin.put_policy(p.bucket, policy)


def _without(sid: str) -> Callable[[list[dict[str, Any]]], None]:
    def change(statements: list[dict[str, Any]]) -> None:
        statements[:] = [each for each in statements if each["Sid"] != sid]

    return change


def _allow_all(statements: list[dict[str, Any]]) -> None:
    resource = next(each["Resource"] for each in statements if each["Sid"] == "RwmUserObjects")
    everyone = {"Sid": "X", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": resource}
    statements.append(everyone)


def _weaker(statements: list[dict[str, Any]]) -> None:
    deny = next(each for each in statements if each["Sid"] == "RwmUserObjectsDenied")
    deny["Action"] = [action for action in deny["Action"] if action != "s3:DeleteObjectVersion"]


CHANGES: dict[str, tuple[Callable[[Protected], Any], str, str]] = {
    "versioning suspended": (
        lambda p: p.admin.client.put_bucket_versioning(Bucket=p.bucket, VersioningConfiguration=SUSPENDED),  # type: ignore[arg-type]
        "versioning",
        "Suspended",
    ),
    "one more statement": (lambda p: _statements(p, _allow_all), "policy-extra-statement", "s3:getobject"),
    "a Deny gone": (
        lambda p: _statements(p, _without("RwmUserObjectsDenied")),
        "policy-missing-statement",
        "s3:deleteobjectversion",
    ),
    "one action less denied": (
        lambda p: _statements(p, _weaker),
        "policy-missing-statement",
        "missing: Deny s3:deleteobjectversion on",
    ),
    "the admin not named": (lambda p: _statements(p, _without("RwmAdmin")), "policy-missing-statement", "s3:*"),
    "a lifecycle rule": (
        lambda p: p.admin.client.put_bucket_lifecycle_configuration(
            Bucket=p.bucket,
            LifecycleConfiguration={"Rules": [RULE]},  # type: ignore[list-item]
        ),
        "lifecycle",
        "eat",
    ),
    "a public ACL": (
        lambda p: p.admin.client.put_bucket_acl(Bucket=p.bucket, ACL="public-read"),
        "acl",
        PUBLIC,
    ),
    "no policy": (lambda p: p.admin.delete_policy(p.bucket), "policy-missing", "no policy"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_reports_each_change(protected: Protected, change: str) -> None:
    assert check_storage(protected.admin, protected.bucket) == []
    act, code, detail = CHANGES[change]
    act(protected)
    drift = check_storage(protected.admin, protected.bucket)
    assert {item.code for item in drift} == {code}, drift
    assert all(detail in item.detail for item in drift), drift


def test_check_of_a_bucket_for_another_user(server: Server) -> None:
    """The policy may be about any one user, except the owner of the bucket."""
    admin, bucket = server.connect(), unique("owned")
    principal = create_storage(admin, unique("model"), "user1")[0].user
    admin.create_bucket(bucket)
    admin.enable_versioning(bucket)
    owner = user_principal(principal, "admin")
    admin.put_policy(bucket, protected_policy(bucket, owner, [UserAccess(user_principal(principal, "user2"))]))
    assert check_storage(admin, bucket) == []
    admin.put_policy(bucket, protected_policy(bucket, principal, [UserAccess(owner)]))
    assert check_storage(admin, bucket) != []


def test_check_of_a_bucket_whose_user_may_do_everything(server: Server) -> None:
    """A correct policy, except that the machine's account is in the place of the owner's."""
    admin, bucket = server.connect(), versioned(server.connect(), "mighty")
    principal = create_storage(admin, unique("model"), "user1")[0].user
    admin.put_policy(bucket, protected_policy(bucket, principal, [UserAccess(user_principal(principal, "user2"))]))
    details = [item.detail for item in check_storage(admin, bucket)]
    assert f"not intended: Allow s3:* on arn:aws:s3:::{bucket} to {principal}" in details
    assert f"missing: Allow s3:* on arn:aws:s3:::{bucket} to {user_principal(principal, 'admin')}" in details


def test_check_of_an_unknown_bucket(server: Server) -> None:
    with pytest.raises(NotFound):
        check_storage(server.connect(), unique("nobodys"))


# --- info and delete -----------------------------------------------------------------------------------


def test_info_counts(protected: Protected) -> None:
    admin, bucket = protected.admin, protected.bucket
    protected.user.client.create_multipart_upload(Bucket=bucket, Key="unfinished")
    admin.put(bucket, "rwm/states/one", b"12345")
    seen: list[int] = []
    info = storage_info(admin, Location(bucket), seen.append)
    assert (info.versioning, info.objects, info.bytes) == ("Enabled", 2, len(b"overwritten") + 5)
    assert (info.noncurrent_versions, info.noncurrent_bytes) == (2, len(BODY) + len(b"config"))
    assert (info.delete_markers, info.unfinished_uploads, info.states) == (1, 1, 1)
    assert sum(seen) == 5


def test_delete_removes_everything(protected: Protected) -> None:
    admin, bucket = protected.admin, protected.bucket
    upload = protected.user.client.create_multipart_upload(Bucket=bucket, Key="unfinished")["UploadId"]
    protected.user.client.upload_part(Bucket=bucket, Key="unfinished", UploadId=upload, PartNumber=1, Body=b"part")
    protected.user.put(bucket, "a\nb", b"1")
    assert delete_storage(admin, Location(bucket)) == []
    assert not admin.bucket_exists(bucket)
    with pytest.raises(NotFound):
        delete_storage(admin, Location(bucket))


def test_delete_removes_a_bucket_without_versioning(server: Server) -> None:
    admin, bucket = server.connect(), unique("plain")
    admin.create_bucket(bucket)
    for key in ("a", "b/c", "a\nb"):
        admin.put(bucket, key, b"1")
    assert delete_storage(admin, Location(bucket)) == []
    assert not admin.bucket_exists(bucket)


def test_an_upload_with_a_hostile_key_is_counted_and_deleted(protected: Protected) -> None:
    """A key that XML cannot represent."""
    admin, bucket = protected.admin, protected.bucket
    for key in ("\x01up", "a\x1bup", "a%41+b", "\ufffeup"):
        with contextlib.suppress(ResponseParserError, ClientError):  # Ceph RGW repeats the key in its answer
            protected.user.client.create_multipart_upload(Bucket=bucket, Key=key)
    assert (
        storage_info(admin, Location(bucket)).unfinished_uploads or 0
    ) >= 4  # an answer that cannot be read is asked for again
    assert delete_storage(admin, Location(bucket)) == []
    assert not admin.bucket_exists(bucket)


def test_delete_by_the_user_fails_and_keeps_everything(protected: Protected) -> None:
    before = protected.everything()
    failures = delete_storage(protected.user, Location(protected.bucket))
    assert len(failures) == len(before)
    assert {fail.code for fail in failures} == {"AccessDenied"}
    assert protected.everything() == before


def test_delete_keeps_locked_versions(server: Server) -> None:
    admin, bucket = server.connect(), unique("locked")
    admin.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    held, _ = admin.put(bucket, "held", b"1"), admin.put(bucket, "free", b"1")
    admin.client.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=held, LegalHold={"Status": "ON"})
    assert [(fail.key, fail.version_id) for fail in delete_storage(admin, Location(bucket))] == [("held", held)]
    assert [version.key for version in admin.versions(bucket)] == ["held"]
    admin.client.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=held, LegalHold={"Status": "OFF"})
    assert delete_storage(admin, Location(bucket)) == []


# --- errors ------------------------------------------------------------------------------------------------


def test_errors_have_their_class_and_one_line(server: Server) -> None:
    admin, bucket = server.connect(), versioned(server.connect(), "errors")
    wrong = connect(S3Settings(server.endpoint, Credentials(server.accounts["admin"].access_key, "x" * 40)))
    unknown = connect(S3Settings(server.endpoint, Credentials("NOSUCHKEY0000000", "x" * 40)))
    closed = connect(S3Settings("http://127.0.0.1:1", server.accounts["admin"]))
    for client, kind in ((wrong, AccessDenied), (unknown, AccessDenied), (closed, Unreachable)):
        for call in _calls(client, bucket):
            with pytest.raises(kind) as error:
                call()
            assert_one_line(error.value)
    for missing in (lambda: admin.get(bucket, "nothing"), lambda: [*admin.versions(unique("nobodys"))]):
        with pytest.raises(NotFound) as not_found:
            missing()
        assert_one_line(not_found.value)


def _calls(s3: S3, bucket: str) -> list[Callable[[], object]]:
    return [
        lambda: s3.bucket_exists(bucket),
        lambda: [*s3.versions(bucket)],
        lambda: s3.put(bucket, "key", b"1"),
    ]


def assert_one_line(error: RwmError) -> None:
    assert error.message and "\n" not in error.message and "\n" not in error.hint
    assert "Traceback" not in error.message and "secret" not in error.message.lower()


def test_an_impossible_endpoint() -> None:
    with pytest.raises(UsageError):
        connect(S3Settings("http://not a url", Credentials("a", "b")))
