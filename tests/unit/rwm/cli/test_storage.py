"""``rwm storage``: exit codes, confirmation, escaped output."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, NoReturn

import pytest

from rwm.errors import AccessDenied, NotSupported
from rwm.model import Retention
from rwm.s3 import DefaultRetention
from rwm.storage import UserAccess
from rwm.times import DAY, iso
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import SHARED, USER, good
from tests.unit.terminal import Terminal


def test_check_with_problems_has_exit_code_4(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    document = json.loads(rwm_.out)
    assert document["ok"] is False
    assert [item["code"] for item in document["drift"]] == ["policy-missing"]
    assert rwm_("-c", "here.conf", "storage", "check", "nope") == 1


def test_the_versioning_status_is_escaped(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.states["bucket1"] = "\x9b2J\x1b[31mEnabled"
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1") == 0
    assert rwm_.out.splitlines()[-1] == "versioning: \\x9b2J\\x1b[31mEnabled"


def test_a_locked_bucket_is_not_deleted_and_says_until_when(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.object_lock = True
    free, locked = s3.put("bucket1", "config", b"1"), s3.put("bucket1", "config", b"2")
    later = s3.now + 30 * DAY
    s3.retentions = {
        ("config", free): Retention("governance", later - DAY),
        ("config", locked): Retention("compliance", later),
    }
    for option in ("--dry-run", "--yes"):
        assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", option) == 5
        assert f"bucket bucket1 cannot be deleted: 2 versions locked until {iso(later)}" in rwm_.err
    s3.retentions = {}
    s3.locked = {("config", free): "legal hold"}
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes") == 5
    assert "1 version under a legal hold" in rwm_.err
    assert {free, locked} <= {entry.version_id for entry in s3.versions("bucket1")}
    s3.locked = {}
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes") == 0


def test_a_bucket_is_created_with_a_lock(rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def create(*_: object, **options: object) -> list[UserAccess]:
        seen.append(options["lock"])
        return [UserAccess(USER)]

    monkeypatch.setattr("rwm.storage.create_storage", create)
    assert rwm_("-c", "here.conf", "storage", "create", "bucket2", "user1", "--lock", "Governance:30") == 0
    assert rwm_.out.startswith("bucket bucket2 is ready: versioned, new versions are locked for 30 days (governance), ")
    assert seen == [DefaultRetention("governance", 30 * DAY)]
    for wrong in ("governance", "30", "governance:0", "governance:-1", "forever:3", "compliance:10000"):
        assert rwm_("-c", "here.conf", "storage", "create", "bucket2", "user1", "--lock", wrong) == 2


@pytest.mark.parametrize("words", [("--probe",), ("--user-config", "machine.conf"), ("--dry-run",), ("--yes",)])
def test_options_of_a_check_that_belong_together(rwm_: Terminal, shared: MemoryS3, words: tuple[str, ...]) -> None:
    assert rwm_("-c", "here.conf", "storage", "check", "shared", *words) == 2
    assert "--probe and --user-config FILE go together" in rwm_.err or "belong to --fix" in rwm_.err
    assert rwm_.out == ""


def test_the_lock_of_a_bucket_is_shown(rwm_: Terminal, shared: MemoryS3) -> None:
    shared.put("bucket1", "config", b"1")
    assert rwm_(*STORAGE, "check", "bucket1") == 0
    assert "Object Lock: off\n" in rwm_.out
    shared.object_lock, shared.default_lock = True, DefaultRetention("compliance", DAY)
    assert rwm_(*STORAGE, "check", "bucket1") == 0
    assert "Object Lock: compliance, 1 day\n" in rwm_.out
    for command in (["check", "bucket1"], ["info", "bucket1"]):
        assert rwm_(*STORAGE, *command, "--json") == 0
        assert json.loads(rwm_.out)["lock"] == {"status": "enabled", "mode": "compliance", "days": 1}
    assert rwm_(*STORAGE, "list", "--json") == 0
    assert json.loads(rwm_.out)[0]["lock"]["days"] == 1


def test_a_server_without_object_lock_is_named_once(
    rwm_: Terminal, shared: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def default_retention(bucket: str) -> NoReturn:
        raise NotSupported(f"GetObjectLockConfiguration {bucket}: NotImplemented (HTTP 501)")

    monkeypatch.setattr(shared, "default_retention", default_retention)
    shared.put("bucket1", "config", b"1")
    assert rwm_(*STORAGE, "check", "bucket1") == 0
    assert (rwm_.out + rwm_.err).count("the server does not have Object Lock") == 1
    assert rwm_(*STORAGE, "check", "bucket1", "--json") == 0
    assert [each["feature"] for each in json.loads(rwm_.out)["missing"]] == ["object-lock"]


def test_delete_prints_what_is_deleted_and_asks(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "config", b"{} ")
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--dry-run") == 0
    assert rwm_.out == "would delete bucket bucket1 with 2 versions and markers, 5 B\n"
    assert "bucket1" in s3.buckets
    assert rwm_("-c", "here.conf", "storage", "delete", "nope", "--yes") == 1
    s3.object_lock = True
    s3.stuck["config", s3.present("bucket1")["config"]] = "AccessDenied"
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes") == 3
    assert "AccessDenied" in rwm_.err
    s3.stuck.clear()
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes", "--json") == 0
    assert json.loads(rwm_.out)["deleted"] is True
    assert s3.buckets == {}


def test_check_and_info_count_what_is_archived(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/a", b"12345")
    s3.archive("bucket1", "data/00/a", "DEEP_ARCHIVE")
    s3.put("bucket1", "data/00/b", b"1")
    s3.archive("bucket1", "data/00/b", "\x1b[31m")
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    document = json.loads(rwm_.out)
    assert document["archived"] == {"objects": 1, "bytes": 5}
    assert [item["code"] for item in document["drift"]] == ["policy-missing"], "it is no drift"
    assert "bucket bucket1: 1 object, 5 B, is archived (DEEP_ARCHIVE 1)" in rwm_.err
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json", "--no-listing") == 4
    assert json.loads(rwm_.out)["archived"] is None
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1") == 0
    assert "archived: DEEP_ARCHIVE" in rwm_.out
    assert "\\x1b[31m" in rwm_.out


def test_check_goes_on_where_versions_cannot_be_listed(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def level(*_: object, **__: object) -> NoReturn:
        raise AccessDenied("ListObjectVersions bucket1: AccessDenied")

    monkeypatch.setattr(s3, "level", level)
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    assert json.loads(rwm_.out)["archived"] is None
    assert "archived versions are not counted: ListObjectVersions" in rwm_.err
    assert " (keys of a prefix: name BUCKET/PREFIX)\n" in rwm_.err


RIGHTS = {"revoked": False, "strict": False, "version_reads": False}
STORAGE = ("-c", "here.conf", "storage")


@pytest.fixture
def shared(s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> MemoryS3:
    """bucket1 with the policy of two machines."""
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    s3.policies["bucket1"] = good(SHARED)
    return s3


def test_users_are_granted_and_revoked(rwm_: Terminal, shared: MemoryS3) -> None:
    assert rwm_(*STORAGE, "grant", "bucket1/host3", "user3") == 0
    assert rwm_.out == "changed the policy of bucket bucket1:\n+ arn:aws:iam:::user/user3: host3/\n"
    assert rwm_(*STORAGE, "grant", "bucket1", "user3:host3", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["bucket"], document["prefix"], document["changed"]) == ("bucket1", "host3/", False)
    assert document["users"][-1] == {"user": "arn:aws:iam:::user/user3", "prefix": "host3/"} | RIGHTS
    assert rwm_(*STORAGE, "grant", "bucket1", "user3", "--prefix", "more") == 0
    assert rwm_(*STORAGE, "revoke", "bucket1/host3/", "user3") == 0
    assert rwm_.out == "changed the policy of bucket bucket1:\n- arn:aws:iam:::user/user3: host3/\n"
    assert rwm_(*STORAGE, "revoke", "bucket1", "user3") == 0
    assert "+ arn:aws:iam:::user/user3: revoked" in rwm_.out
    assert rwm_(*STORAGE, "revoke", "bucket1", "user3") == 0
    assert rwm_.out == "bucket bucket1: nothing to change\n"


def test_rights_are_granted_and_taken(rwm_: Terminal, shared: MemoryS3) -> None:
    user = "arn:aws:iam:::user/user1"
    assert rwm_(*STORAGE, "grant", "bucket1/host1", "user1", "--strict") == 0
    assert rwm_.out.splitlines()[1:] == [f"- {user}: host1/", f"+ {user}: host1/, deletes only locks"]
    assert rwm_(*STORAGE, "grant", "bucket1/more", "user1", "--allow-version-reads") == 0
    reach = "deletes only locks, reads noncurrent versions"
    assert f"+ {user}: host1/, {reach}\n+ {user}: more/, {reach}\n" in rwm_.out
    assert rwm_(*STORAGE, "grant", "bucket1/host1", "user1") == 0
    assert rwm_.out == "bucket bucket1: nothing to change\n", "rights that are not named stay"
    assert rwm_(*STORAGE, "grant", "bucket1/host1", "user1", "--no-strict", "--deny-version-reads") == 0
    assert f"+ {user}: host1/\n" in rwm_.out


def test_a_dry_run_prints_the_statements(rwm_: Terminal, shared: MemoryS3) -> None:
    before = good(SHARED)
    assert rwm_(*STORAGE, "revoke", "bucket1", "user1", "--dry-run") == 0
    first, *lines = rwm_.out.splitlines()
    assert first == "would change the policy of bucket bucket1:"
    assert lines[:2] == ["- arn:aws:iam:::user/user1: host1/", "+ arn:aws:iam:::user/user1: revoked"]
    statements = [(line[0], json.loads(line[2:])) for line in lines[2:]]
    assert ("+", "RwmRevoked") in [(sign, statement["Sid"]) for sign, statement in statements]
    assert ("-", "RwmPrefix1Objects") in [(sign, statement["Sid"]) for sign, statement in statements]
    assert shared.policies["bucket1"] == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("grant", "bucket1/host3", "user3:host4"), 2, "two prefixes are given: host3/ and host4/"),
        (("grant", "bucket1/host3", "user3", "--prefix", "host4"), 2, "two prefixes are given"),
        (("grant", "bucket1", "user3", "--prefix", ""), 2, "the prefix is empty"),
        (("grant", "bucket1", "user3:"), 2, "has no prefix after the colon"),
        (("grant", "bucket1", "user3", "--prefix", "a*"), 2, "which policies do not take literally"),
        (("grant", "bucket1", "user3", "--prefix", "../x"), 2, "is no location"),
        (("grant", "bucket1", "user3"), 2, "(whole bucket) would reach the same objects"),
        (("grant", "bucket1/host1/sub", "user3"), 2, "user1 (host1/) and arn:aws:iam:::user/user3 (host1/sub/) would"),
        (("create", "bucket2/host1", "user1:host2"), 2, "two prefixes are given"),
        (("create", "bucket2", "user1", "user2:a"), 2, "user1 (whole bucket) and user2 (a/) would reach the same"),
        (("revoke", "bucket1", "user9"), 1, "the policy does not name arn:aws:iam:::user/user9"),
        (("revoke", "bucket1/host1/data", "user1"), 5, "was not granted host1/data/, but: host1/"),
        (("check", "bucket1/host9"), 4, "bucket1/host9: 1 problem found"),
        (("delete", "bucket1/host9", "--yes"), 1, "there is nothing below bucket1/host9"),
    ],
)
def test_bad_input_is_one_clear_line(
    rwm_: Terminal, shared: MemoryS3, words: tuple[str, ...], code: int, message: str
) -> None:
    policies = copy.deepcopy(shared.policies)
    assert rwm_(*STORAGE, *words) == code
    assert message in rwm_.err.splitlines()[0]
    assert shared.policies == policies
    assert [*shared.buckets] == ["bucket1"]


def test_check_lists_the_users(rwm_: Terminal, shared: MemoryS3) -> None:
    assert rwm_(*STORAGE, "check", "bucket1/host1") == 0
    lines = rwm_.out.splitlines()
    assert lines[0] == "bucket1/host1 is protected"
    assert [line.split() for line in lines[-3:]] == [
        ["arn:aws:iam:::user/user1", "host1/"],
        ["arn:aws:iam:::user/user2", "host2/"],
        ["arn:aws:iam:::user/user2", "old/host2/"],
    ]


def test_an_unreadable_bucket_does_not_hide_the_others(
    rwm_: Terminal, shared: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.create_bucket("bucket0")
    versioning = shared.versioning

    def fail(bucket: str) -> str:
        if bucket == "bucket0":
            raise AccessDenied("GetBucketVersioning bucket0: \x1b[31mAccessDenied")
        return versioning(bucket)

    monkeypatch.setattr(shared, "versioning", fail)
    assert rwm_(*STORAGE, "list") == 3
    rows = [re.split("  +", line) for line in rwm_.out.splitlines()[2:]]
    assert rows[0] == ["bucket0", "error: GetBucketVersioning bucket0: \\x1b[31mAccessDenied"]
    assert rows[1][:3] == ["bucket1", "Enabled", "protected"]
    assert rows[1][3].startswith("arn:aws:iam:::user/user1 (host1/), arn:aws:iam:::user/user2 (host2/)")
    assert "1 bucket of 2 could not be checked" in rwm_.err
    assert rwm_(*STORAGE, "list", "--json") == 3
    documents = json.loads(rwm_.out)
    assert [each["error"] is None for each in documents] == [False, True]
    assert documents[1]["users"][0] == {"user": "arn:aws:iam:::user/user1", "prefix": "host1/"} | RIGHTS


def test_a_prefix_is_deleted_by_itself(rwm_: Terminal, shared: MemoryS3) -> None:
    for key in ("host1/config", "host1/config", "host10/config"):
        shared.put("bucket1", key, b"1")
    assert rwm_(*STORAGE, "delete", "bucket1/host1", "--dry-run") == 0
    subject = "everything below bucket1/host1 (the bucket stays) with 2 versions and markers, 2 B"
    assert rwm_.out == f"would delete {subject}\n"
    assert rwm_(*STORAGE, "delete", "bucket1/host1") == 2
    assert f"Delete {subject}?" in rwm_.err
    assert rwm_(*STORAGE, "delete", "bucket1/host1", "--yes", "--json") == 0
    document = {"bucket": "bucket1", "prefix": "host1/", "deleted": True, "versions": 2, "bytes": 2}
    assert json.loads(rwm_.out) == document
    assert "host10/config" in shared.present("bucket1")


def test_delete_needs_no_index(rwm_: Terminal, shared: MemoryS3) -> None:
    shared.put("bucket1", "host1/config", b"1")
    (rwm_.directory / "here.sqlite").write_bytes(b"no database" * 1000)
    assert rwm_(*STORAGE, "delete", "bucket1/host1", "--yes") == 0
    assert "warning: which states of bucket1/host1 are recorded is not known: index " in rwm_.err
    assert "host1/config" not in shared.present("bucket1")


def test_delete_names_the_states_that_the_index_still_has(rwm_: Terminal, shared: MemoryS3) -> None:
    shared.put("bucket1", "host1/config", b"1")
    for location in ("bucket1", "bucket1/host1"):
        shared.now += 10_000
        assert rwm_("-c", "here.conf", "state", "capture", location) == 0
    assert rwm_(*STORAGE, "delete", "bucket1/host1", "--dry-run") == 0
    assert "restored" not in rwm_.err
    for location, states in (("bucket1/host1", "1 state"), ("bucket1", "2 states")):
        assert rwm_(*STORAGE, "delete", location, "--yes") == 0
        assert f"{states} of it in the index cannot be restored any more: `rwm -c " in rwm_.err
        assert f"state list {location}`" in rwm_.err


def test_info_lists_the_repositories_and_the_last_state_of_each(rwm_: Terminal, shared: MemoryS3) -> None:
    for root in ("host1/", "host2/deep/"):
        for name in ("config", "keys/k", "data/00/d"):
            shared.put("bucket1", root + name, b"12")
    shared.now += 10_000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1/host1", "--json") == 0
    state = json.loads(rwm_.out)
    assert rwm_(*STORAGE, "info", "bucket1") == 0
    table = [line.split() for line in rwm_.out.partition("versioning")[2].splitlines()[4:]]
    assert table[0][:5] == ["bucket1/host1", "3", "6", "B", state["id"][:12]]
    assert re.fullmatch(r"\d+d", table[0][5])
    assert table[1] == ["bucket1/host2/deep", "3", "6", "B", "none", "recorded"]
    assert rwm_(*STORAGE, "info", "bucket1/host1", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["prefix"], document["objects"], document["states"]) == ("host1/", 4, 1)
    last = {"id": state["id"], "captured_at": state["captured_at"]}
    assert document["repositories"] == [{"prefix": "host1/", "objects": 3, "bytes": 6, "last_state": last}]
