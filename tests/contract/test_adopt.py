"""Adoption of buckets on the real servers: with null versions, of other writers, killed at each write, and refused."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import AccessDenied, CheckFailed, Refused
from rwm.index import Index
from rwm.layout import is_own_key
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import (
    NO_RIGHTS,
    AdoptionPlan,
    Pinned,
    Rights,
    apply_adoption,
    check_storage,
    describe_unknown,
    is_strict,
    passed,
    plan_adoption,
    probe_storage,
)
from rwm.storage.policy import make_statement
from rwm.trust import audit_location
from tests import programs, repositories
from tests.contract.buckets import next_second, unique
from tests.servers import Server

PACK = b"pack" * 1000
PIN_LIMIT = 1 << 20
SMALL = ("config", "keys/" + "a" * 64, "snapshots/" + "b" * 64, "index/" + "c" * 64)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def fill(s3: S3, bucket: str, prefix: str = "") -> None:
    """The names of a small repository."""
    for name in (*SMALL, "locks/" + "d" * 64):
        s3.put(bucket, prefix + name, name.encode())
    s3.put(bucket, f"{prefix}data/00/{'e' * 64}", PACK)


def adopt(s3: S3, index: Index, bucket: str, *users: str, rights: Rights = NO_RIGHTS, pin: bool = True) -> Pinned:
    return apply_adoption(s3, index, plan_adoption(s3, bucket, users, rights, len(PACK) - 1), pin=pin)


def null_keys(s3: S3, bucket: str) -> set[str]:
    """The keys, but RWM's own, whose current object has no version id."""
    found = {entry.key for entry in s3.versions(bucket) if entry.is_latest and entry.version_id == "null"}
    return {key for key in found if not is_own_key(key)}


def details(plan: AdoptionPlan) -> list[str]:
    return [step.detail for step in plan.steps]


def test_a_bucket_without_versioning_becomes_protected_in_place(server: Server, index: Index) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("adopted")
    admin.create_bucket(bucket)
    fill(admin, bucket, "host1/")
    admin.client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    rule = {"ID": "eat", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    admin.put_lifecycle_rules(bucket, [rule])
    plan = plan_adoption(admin, bucket, ["user1:host1"], Rights(strict=True), PIN_LIMIT)
    versioning, policy, acl, lifecycle = details(plan)
    assert versioning == "versioning: off -> Enabled"
    assert policy.startswith("policy: + the policy of a protected bucket for arn:aws:iam::")
    assert "READ to http" in acl
    assert lifecycle == "lifecycle rule eat: Enabled -> Disabled"
    assert list(plan.owners) == ["host1/"]
    assert "gone" in describe_unknown(plan.past)[0]
    assert (admin.versioning(bucket), admin.policy(bucket)) == ("", None), "a plan changes nothing"

    pinned = adopt(admin, index, bucket, "user1:host1", rights=Rights(strict=True))
    assert (pinned.objects, pinned.failed) == (len(SMALL), [])
    assert check_storage(admin, bucket) == []
    assert is_strict(user, Location(bucket, "host1/"))
    assert null_keys(admin, bucket) == {f"host1/data/00/{'e' * 64}", f"host1/locks/{'d' * 64}"}
    assert user.get(bucket, "host1/config") == b"config"
    assert passed(probe_storage(admin, user, Location(bucket, "host1/"))) == []
    again = plan_adoption(admin, bucket, ["user1:host1"], Rights(strict=True), PIN_LIMIT)
    assert (again.steps, again.past.null, again.past.small) == ([], 2, 1), "the pack, which this limit takes"


@pytest.mark.slow
def test_restic_works_on_and_the_audit_proves_nothing(server: Server, index: Index, tmp_path: Path) -> None:
    admin, bucket = server.connect(), unique("adopted")
    admin.create_bucket(bucket)
    (tmp_path / "file").write_bytes(os.urandom(3000))

    def restic(account: str, *words: str) -> None:
        environment = {**server.environment(account), "RESTIC_PASSWORD": "x"}
        run = ["restic", "-q", "--no-cache", "-r", f"s3:{server.endpoint}/{bucket}", *words]
        done = process.run(run, env=environment)
        assert done.returncode == 0, done.stderr

    repositories.create_in(admin, bucket, "x")
    for words in (["backup", str(tmp_path)], ["backup", "/etc/hostname"], ["forget", "--keep-last", "1"]):
        restic("admin", *words)
    assert adopt(admin, index, bucket, "user1").objects > 4
    restic("user1", "backup", "/etc/hostname")
    restic("user1", "check", "--read-data")
    next_second(admin, bucket)
    assert audit_location(admin, Location(bucket)).proofs == 0


def test_what_others_wrote_becomes_readable(rgw: Server, index: Index) -> None:
    """The policy allowed user1 to write, and nobody thought of the admin."""
    admin, user, bucket = rgw.connect(), rgw.connect("user1"), unique("adopted")
    admin.create_bucket(bucket)
    admin.enable_versioning(bucket)
    on_both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    open_policy = make_statement("Everything", "Allow", ["arn:aws:iam:::user/user1"], ["s3:*"], on_both)
    admin.put_policy(bucket, {"Version": "2012-10-17", "Statement": [open_policy]})
    fill(user, bucket)
    with pytest.raises(AccessDenied):
        admin.get(bucket, "config")
    plan = plan_adoption(admin, bucket, ["user1"], NO_RIGHTS, PIN_LIMIT)
    removed, added = details(plan)
    assert removed == f"policy: - Everything: Allow s3:* on {on_both[0]} to arn:aws:iam:::user/user1, and 1 more"
    assert added.startswith("policy: + the policy")
    assert plan.owners == {"": "user1"}
    apply_adoption(admin, index, plan, pin=True)
    assert admin.get(bucket, "config") == b"config"


def test_a_bucket_of_the_machine_is_refused_until_the_admin_owns_it(rgw: Server, index: Index) -> None:
    admin, user, bucket = rgw.connect(), rgw.connect("user1"), unique("owned")
    user.create_bucket(bucket)
    fill(user, bucket)
    with pytest.raises(Refused, match=r"belongs to another account, not to this one \(admin\)") as error:
        plan_adoption(admin, bucket, ["user1"], NO_RIGHTS, PIN_LIMIT)
    command = error.value.hint.rpartition("`radosgw-admin ")[2].removesuffix("`")
    rgw.ceph("radosgw-admin", *command.split())
    adopt(admin, index, bucket, "user1")
    assert check_storage(admin, bucket) == []
    assert admin.get(bucket, "config") == user.get(bucket, "config") == b"config"
    assert user.delete_versions(bucket, [("config", "null")])[0].code == "AccessDenied"
    with pytest.raises(AccessDenied):
        user.call("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_an_unknown_account_is_refused_where_the_server_tells(rgw: Server) -> None:
    admin, bucket = rgw.connect(), unique("adopted")
    admin.create_bucket(bucket)
    fill(admin, bucket)
    with pytest.raises(Refused, match="the server has no account user9"):
        plan_adoption(admin, bucket, ["user9"], NO_RIGHTS, PIN_LIMIT)
    assert [*admin.unfinished_uploads(bucket)] == []


def test_a_protected_bucket_of_other_users_is_refused(server: Server, index: Index) -> None:
    admin, bucket = server.connect(), unique("shared")
    admin.create_bucket(bucket)
    fill(admin, bucket, "host1/")
    adopt(admin, index, bucket, "user1:host1")
    with pytest.raises(Refused, match="is protected already, for "):
        plan_adoption(admin, bucket, ["user1:host1", "user2:host2"], NO_RIGHTS, PIN_LIMIT)


def test_a_repository_that_the_admin_cannot_read_is_named(
    server: Server, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, bucket = server.connect(), unique("adopted")
    admin.create_bucket(bucket)
    fill(admin, bucket)
    plan = plan_adoption(admin, bucket, ["user1"], NO_RIGHTS, PIN_LIMIT)

    def refuse(*_: object) -> int:
        raise AccessDenied("HeadObject: 403")

    monkeypatch.setattr(type(admin), "size", refuse)
    with pytest.raises(CheckFailed, match=f"this account cannot read {bucket}/config"):
        apply_adoption(admin, index, plan, pin=False)


KILLED = """
import itertools, os, signal, sys
import rwm.s3.client
keep, count, last = rwm.s3.client.keep_raw_listings, itertools.count(1), int(sys.argv.pop(1))

def die_at_a_write(client):
    keep(client)
    def before(model, params, **_):
        if params["method"] != "GET" and next(count) == last:
            os.kill(os.getpid(), signal.SIGKILL)
    client.meta.events.register("before-call.s3", before)

rwm.s3.client.keep_raw_listings = die_at_a_write
from rwm.cli.main import main
main()
"""


@pytest.mark.slow
def test_an_adoption_that_is_killed_at_any_write_is_completed(server: Server, tmp_path: Path) -> None:
    admin, bucket = server.connect(), unique("adopted")
    admin.create_bucket(bucket)
    fill(admin, bucket)
    conf = tmp_path / "rwm.conf"
    conf.touch(mode=0o600)
    keys = server.accounts["admin"]
    conf.write_text(json.dumps(_configuration(server.endpoint, keys._asdict(), tmp_path)))
    arguments = ["-c", str(conf), "storage", "adopt", bucket, "user1", "--pin", "--pin-size", "3000", "--yes"]
    for number in itertools.count(1, 3):
        done = programs.run(["test-program", KILLED, str(number), *arguments], env=os.environ, cwd=tmp_path)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert number > 5
    assert check_storage(admin, bucket) == []
    assert null_keys(admin, bucket) == {f"data/00/{'e' * 64}", f"locks/{'d' * 64}"}
    with Index.open(tmp_path / "index.sqlite") as index:
        changes = [own.change for own in index.operations.changes(Location(bucket))]
        recorded = {(each.key, each.version_id) for each in changes}
        pins = {(entry.key, entry.version_id) for entry in admin.versions(bucket) if entry.key in SMALL}
        assert {pair for pair in pins if pair[1] != "null"} == recorded
        assert index.locations(bucket) == [Location(bucket)]
    done = programs.run(["rwm", *arguments], env=os.environ, cwd=tmp_path)
    assert "adopted already: nothing to do" in done.stdout


def _configuration(endpoint: str, keys: Mapping[str, object], directory: Path) -> dict[str, object]:
    return {
        "s3_endpoint_url": endpoint,
        "s3_access_key": keys["access_key"],
        "s3_secret_key": keys["secret_key"],
        "index_path": str(directory / "index.sqlite"),
    }
