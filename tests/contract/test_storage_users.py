"""Users of a bucket come and go: grants, revocation, and what is left of their access, on the real servers."""

from __future__ import annotations

import re

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import EndpointConnectionError

from rwm import process
from rwm.errors import AccessDenied, Refused, RwmError, UsageError
from rwm.location import Location
from rwm.s3 import S3, connect
from rwm.storage import (
    check_storage,
    create_storage,
    delete_storage,
    grant_access,
    inspect_storage,
    list_storage,
    revoke_access,
    storage_info,
)
from rwm.storage.policy import protected_policy
from rwm.storage.policy_probe import probe_policy
from rwm.storage.principals import admin_principal
from tests.contract.buckets import at_once, unique, written
from tests.contract.test_storage_prefixes import ALLOWED, REFUSED, every
from tests.servers import Server


def reached(s3: S3, bucket: str, key: str) -> bool:
    """Whether the account can read the object and list its directory; one without the other is an error."""
    prefix = key.rpartition("/")[0] + "/"
    calls = (
        lambda: s3.client.get_object(Bucket=bucket, Key=key),
        lambda: s3.client.list_objects_v2(Bucket=bucket, Prefix=prefix),
    )
    return every(*calls) == ALLOWED


@pytest.mark.parametrize(
    ("name", "tenant"), [("rgw", ""), ("rgw", "t1$"), ("seaweedfs", "")], ids=["rgw", "rgw with a tenant", "seaweedfs"]
)
def test_a_revoked_user_reaches_nothing_that_it_wrote(request: pytest.FixtureRequest, name: str, tenant: str) -> None:
    server: Server = request.getfixturevalue(name)
    admin, user, bucket = server.connect(f"{tenant}admin"), server.connect(f"{tenant}user1"), unique("shared")
    create_storage(admin, bucket, "user1:host1/")
    user.put(bucket, "host1/key", b"1")
    assert reached(user, bucket, "host1/key")
    with pytest.raises(AccessDenied):
        user.put(bucket, "host2/key", b"1")
    change = revoke_access(admin, bucket, "user1")
    assert [access.revoked for access in change.after] == [True]
    assert not reached(user, bucket, "host1/key")
    for call in (
        lambda: user.put(bucket, "host1/key", b"2"),
        lambda: user.delete(bucket, "host1/key"),
        lambda: user.acl(bucket),
        lambda: user.policy(bucket),
    ):
        with pytest.raises(AccessDenied):
            call()
    outcome = every(
        lambda: user.client.get_object_acl(Bucket=bucket, Key="host1/key"),
        lambda: user.client.put_object_acl(Bucket=bucket, Key="host1/key", ACL="public-read"),
    )
    assert outcome == REFUSED
    assert admin.get(bucket, "host1/key") == b"1"
    assert check_storage(admin, bucket) == []
    assert not revoke_access(admin, bucket, "user1"), "safe to repeat"
    grant_access(admin, Location(bucket, "host1/"), "user1")
    assert reached(user, bucket, "host1/key")


def test_a_missing_grant_alone_revokes_nothing(server: Server) -> None:
    """Why a revoked user is denied: on RGW its objects are its own, on SeaweedFS it has an identity policy."""
    admin, user = server.connect(), server.connect("user1")
    bucket = unique("shared")
    create_storage(admin, bucket, "user1:host1/", "user2:host2/")
    user.put(bucket, "host1/key", b"1")
    policy, (owner, _) = admin.policy(bucket), admin.acl(bucket)
    assert policy is not None
    user2 = [access for access in inspect_storage(admin, Location(bucket)).users if "user2" in access.user]
    admin.put_policy(bucket, protected_policy(bucket, admin_principal(policy, owner), user2))
    assert user.get(bucket, "host1/key") == b"1"


def test_a_user_loses_what_it_wrote_outside_of_its_new_prefix(server: Server) -> None:
    admin, user = server.connect(), server.connect("user1")
    bucket = unique("shared")
    create_storage(admin, bucket, "user1:old/")
    user.put(bucket, "old/key", b"1")
    grant_access(admin, Location(bucket, "new/"), "user1")
    user.put(bucket, "new/key", b"1")
    assert reached(user, bucket, "old/key")
    assert reached(user, bucket, "new/key")
    revoke_access(admin, bucket, "user1", "old/")
    assert not reached(user, bucket, "old/key")
    assert reached(user, bucket, "new/key")
    assert check_storage(admin, bucket) == []


PREFIXES = ["hôst 1/", "a#b+c%41/", "x[1](2)|3^{4}/", "deep/er/host/", "'\"&<>!/", "1.2.3.4_~=@,;`/"]


def test_unusual_prefixes_are_taken_literally(server: Server) -> None:
    admin, user = server.connect(), server.connect("user1")
    bucket = unique("shared")
    create_storage(admin, bucket, *(f"user1:{prefix}" for prefix in PREFIXES))
    assert check_storage(admin, bucket) == []
    for prefix in PREFIXES:
        user.put(bucket, f"{prefix}key", b"1")
        assert user.get(bucket, f"{prefix}key") == b"1", prefix
        found = user.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        assert [item["Key"] for item in found["Contents"]] == [f"{prefix}key"]
        assert [entry.key for entry in user.versions(bucket, prefix)] == [f"{prefix}key"]
    for beside in ("host 1/", "a#b+cA/", "x1/", "deep/er/", "deep/er/host2/", "'/", "1x2.3.4_~=@,;`/"):
        with pytest.raises(AccessDenied):
            user.put(bucket, f"{beside}key", b"1")


def test_grants_of_two_admins_at_the_same_time_are_kept_or_reported(server: Server) -> None:
    admin, bucket = server.connect(), unique("shared")
    create_storage(admin, bucket, "user1:host1/")
    prefixes = ["host2/", "host3/", "host4/"]

    def grant(prefix: str) -> str | None:
        try:
            grant_access(server.connect(), Location(bucket, prefix), "user2")
        except RwmError as error:
            assert re.search("changed meanwhile|another policy", error.message), error
            return None
        return prefix

    kept = {prefix for prefix in at_once(grant, prefixes, 3) if prefix}
    named = {access.prefix for access in inspect_storage(admin, Location(bucket)).users}
    assert kept | {"host1/"} <= named
    for prefix in prefixes:
        grant_access(admin, Location(bucket, prefix), "user2")
    assert check_storage(admin, bucket) == []


def test_a_directory_of_a_repository_is_no_prefix_to_grant(server: Server) -> None:
    admin, bucket = server.connect(), unique("shared")
    create_storage(admin, bucket, "user1:host1/")
    for key in ("config", "keys/a", "data/00/a"):
        admin.put(bucket, f"host2/{key}", b"1")
    for prefix in ("host2/data/", "host2/data/00/", "host2/locks/"):
        with pytest.raises(UsageError, match=f"is a directory of the repository at {bucket}/host2, "):
            grant_access(admin, Location(bucket, prefix), "user2")
    grant_access(admin, Location(bucket, "data/"), "user2")
    grant_access(admin, Location(bucket, "host2/"), "user2")


def test_a_policy_with_drift_is_not_changed(server: Server) -> None:
    admin, bucket = server.connect(), unique("shared")
    create_storage(admin, bucket, "user1:host1/")
    policy = admin.policy(bucket)
    assert policy is not None
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "RwmUserObjectsDenied"]
    admin.put_policy(bucket, policy)
    drift = r"not that of a protected bucket \(missing: Deny"
    with pytest.raises(Refused, match=drift):
        grant_access(admin, Location(bucket, "host2/"), "user2")
    with pytest.raises(Refused, match=drift):
        revoke_access(admin, bucket, "user1")


def test_all_buckets_of_an_account_are_listed(seaweedfs: Server) -> None:
    """Many; some refuse the admin, some cannot be reached."""
    admin = seaweedfs.connect()
    names = [unique("many") for _ in range(50)]
    protected, refusing, unreachable = names[0], names[1], names[2]
    create_storage(admin, protected, "user1:host1/", "user2:host2/")
    at_once(admin.create_bucket, names[1:])
    who = admin_principal(admin.policy(protected) or {}, admin.acl(protected)[0])
    denied = probe_policy(refusing, who)
    denied["Statement"][0]["Action"] = ["s3:GetBucketVersioning"]
    admin.put_policy(refusing, denied)

    def fail(request: AWSRequest, **_: object) -> None:
        if f"/{unreachable}" in str(request.url):
            raise EndpointConnectionError(endpoint_url=str(request.url))

    lame = connect(seaweedfs.connect().settings, attempts=1)
    lame.client.meta.events.register("before-send.s3", fail)
    rows = {row.bucket: row for row in list_storage(lame, [*names, unique("nobodys")])}
    assert list(rows) == sorted(rows)
    assert {name for name, row in rows.items() if row.error} == {refusing, unreachable, *(rows.keys() - set(names))}
    found = rows[protected].inspection
    assert found is not None
    assert found.drift == []
    assert [access.prefix for access in found.users] == ["host1/", "host2/"]
    assert {row.versioning for row in rows.values() if not row.error} == {"Enabled", "off"}
    admin.delete_policy(refusing)
    at_once(lambda name: delete_storage(admin, Location(name)), names)


def test_a_prefix_is_counted_and_deleted_by_itself(server: Server) -> None:
    admin, bucket = server.connect(), unique("shared")
    create_storage(admin, bucket, "user1:host1/", "user2:host2/")
    users = {"host1/": server.connect("user1"), "host2/": server.connect("user2")}
    for prefix, user in users.items():
        for key in ("config", "data/00/a", "rwm/states/x", "config"):
            user.put(bucket, prefix + key, b"12")
        user.client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}upload")
    admin.put(bucket, "host10/key", b"1")
    info = storage_info(admin, Location(bucket, "host1/"))
    assert (info.objects, info.bytes, info.noncurrent_versions, info.states) == (3, 6, 1, 1)
    assert info.unfinished_uploads == 1
    assert storage_info(users["host1/"], Location(bucket, "host1/")).objects == 3
    before = written(admin.versions(bucket, "host2/")) + written(admin.versions(bucket, "host10/"))
    assert delete_storage(admin, Location(bucket, "host1/")) == []
    assert sorted(written(admin.versions(bucket))) == sorted(before)
    assert [key for key, _, _ in admin.unfinished_uploads(bucket)] == ["host2/upload"]


def test_restic_works_with_the_keys_of_a_prefix(server: Server, restic_program: str) -> None:
    bucket = unique("shared")
    create_storage(server.connect(), bucket, "user1:host1/", "user2:host2/")
    environment = server.environment("user1") | {"RESTIC_PASSWORD": "x"}
    for arguments in (["init"], ["backup", "/etc/hostname"], ["forget", "--keep-last", "1", "--prune"], ["check"]):
        run = [restic_program, "-q", "--no-cache", "-r", f"s3:{server.endpoint}/{bucket}/host1", *arguments]
        done = process.run(run, env=environment)
        assert done.returncode == 0, (arguments, done.stderr)
