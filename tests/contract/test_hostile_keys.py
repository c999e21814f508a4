"""Keys that one machine writes to stop everybody: what each server lists, and what goes on beside them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.proxy import Action, Close, Proxy, Rule, Shorten, Status, matching
from rwm import prune
from rwm.config import S3Settings
from rwm.errors import BadResponse, S3Error
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3, connect
from rwm.s3.listing import UnknownKey
from rwm.states import capture_state, compare_with_history, list_state_files, new_state_files, sync_states
from rwm.storage import create_storage, delete_storage, storage_info
from rwm.trust import audit_location
from tests.contract.buckets import at_once, next_second, unique, versioned
from tests.e2e.cli import Shell
from tests.servers import Server

PACK = f"data/00/{0:064x}"
REPOSITORY = {"config": 155, f"keys/{1:064x}": 400, f"snapshots/{2:064x}": 300, f"index/{3:064x}": 300, PACK: 5000}
GARBLED = ["data/00/\x01", "data/00/a\x0bb", "data/\x1f/x", "data/00/\ufffe", "keys/\uffff"]
"""Keys that SeaweedFS lists under another name."""

EXACT = [
    *("data/00/\t", "data/00/\n", "data/00/\r", "data/00/\x7f", "data/00/\u0085", "data/00/\u2028"),
    *("data/00/k.versions", "data/00/.versions", f"data/00/{'n' * 1016}", "data/00/%41", "data/00/A"),
    *("data/00/e\u0301", "data/00/\u00e9", "data/00/a b", "data/00/a+b", "data/00/a&lt;b", "data/00/%00"),
]
"""Odd keys that every server lists as they are."""


def protected(server: Server) -> tuple[S3, S3, str]:
    """The admin, the machine, and a protected bucket with a repository of the machine in it."""
    admin, user, bucket = server.connect(), server.connect("user1"), unique("hostile")
    create_storage(admin, bucket, "user1")
    for key, size in REPOSITORY.items():
        user.put(bucket, key, bytes(size))
    return admin, user, bucket


def unknown(s3: S3, bucket: str) -> set[str]:
    return {key.key for key in s3.unknown_keys.below(Location(bucket))}


# --- what the servers list -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000])
def test_odd_keys_are_listed_exactly(server: Server, size: int) -> None:
    s3 = server.connect()
    bucket = versioned(s3, "odd")
    at_once(lambda key: s3.put(bucket, key, b"1"), EXACT)
    assert {version.key for version in s3.versions(bucket, page_size=size)} == {*EXACT}
    assert not unknown(s3, bucket)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_all_other_keys_are_listed_beside_garbled_ones(server: Server, size: int) -> None:
    s3 = server.connect()
    bucket = versioned(s3, "odd")
    others = ["config", "data/00/\t", "data/00/a", "data/00/a-b", "data/00/b", "data/01/x", "zz"]
    at_once(lambda key: s3.put(bucket, key, b"1"), [*GARBLED, *others, *others])
    listed = [version.key for version in s3.versions(bucket, page_size=size)]
    if server.name == "rgw":
        assert {*listed} == {*GARBLED, *others} and not unknown(s3, bucket)
    else:
        assert sorted(listed) == sorted([*others, *others])
        assert {"data/00/\ufffd", "data/00/a\ufffdb", "keys/\ufffd"} < unknown(s3, bucket)


def test_more_garbled_keys_than_a_page(server: Server) -> None:
    s3 = server.connect()
    bucket = versioned(s3, "odd")
    hostile = [f"data/00/\x0e{number:04}" for number in range(60)]
    at_once(lambda key: s3.put(bucket, key, b"1"), [*hostile, "config", "data/00/\t", "data/00/a", "data/01/x"])
    listed = {version.key for version in s3.versions(bucket, page_size=50)}
    assert listed - {*hostile} == {"config", "data/00/\t", "data/00/a", "data/01/x"}
    assert bool(unknown(s3, bucket)) == (server.name == "seaweedfs")


def test_a_plain_listing_of_pages_cannot_continue_after_a_garbled_key(seaweedfs: Server) -> None:
    s3 = seaweedfs.connect()
    bucket = versioned(s3, "odd")
    s3.put(bucket, "data/a\x01b", b"1")
    s3.put(bucket, "data/a\x01b", b"2")
    with pytest.raises(BadResponse, match="exact name"):
        [*s3.list_pages(bucket, page_size=1)]


def test_a_null_version_that_is_written_again(server: Server) -> None:
    """SeaweedFS lists it last, RGW where it belongs."""
    s3 = server.connect()
    bucket = unique("null")
    s3.create_bucket(bucket)
    s3.put(bucket, "other", b"0")
    s3.put(bucket, "k", b"1")
    s3.enable_versioning(bucket)
    s3.put(bucket, "k", b"22")
    next_second(s3, bucket)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put(bucket, "k", b"333")
    next_second(s3, bucket)
    for later in ((), (4,)):
        s3.enable_versioning(bucket)
        for size in later:
            s3.put(bucket, "k", bytes(size))
        listed = [(version.size, version.is_latest) for version in s3.versions(bucket) if version.key == "k"]
        sizes = [*later, 3, 2] if server.name == "rgw" else [*later, 2, 3]
        assert listed == [(size, size == [*later, 3][0]) for size in sizes]
        expected = {UnknownKey("k", "null", 0, "ambiguous")} if server.name == "seaweedfs" else set()
        assert {key._replace(at=0) for key in s3.unknown_keys.below(Location(bucket))} == expected
        s3.unknown_keys.forget(Location(bucket))


# --- what goes on --------------------------------------------------------------------------------------------


def test_everything_goes_on_beside_a_garbled_key(server: Server, tmp_path: Path) -> None:
    admin, user, bucket = protected(server)
    place = Location(bucket)
    user.put(bucket, GARBLED[0], b"hostile")
    for content in (b"1", b"2"):
        user.put(bucket, "notes", content)
    past = next_second(user, bucket)
    with Index.open(tmp_path / "one.sqlite") as index:
        capture_state(user, index, place)
        info = capture_state(user, index, place, at=past, origin="past")
        plan = prune.plan_prune(admin, index, place, [info])
        assert {version.key for version in plan.versions} == {"notes"} and not plan.lost_states
    assert info.objects == len(REPOSITORY) + 1 + (server.name == "rgw")
    with Index.open(tmp_path / "two.sqlite") as index:
        files = list_state_files(admin, place)
        sync_states(admin, index, place, files, new_state_files(index, place, files))
        assert {one.verdict for one in compare_with_history(admin, index, place, files)} == {"verified"}
    assert storage_info(admin, place).objects >= len(REPOSITORY)
    codes = audit_location(admin, place).counts()
    assert ("garbled-key" if server.name == "seaweedfs" else "foreign-name") in codes
    assert unknown(admin, bucket) == ({"data/00/\ufffd"} if server.name == "seaweedfs" else set())
    assert delete_storage(admin, place) == []
    assert not admin.bucket_exists(bucket)


def test_deleting_garbled_versions_that_are_not_current(server: Server) -> None:
    s3 = server.connect()
    bucket = versioned(s3, "odd")
    for key in ("a\x01b", "a\x02b", "ab"):
        s3.put(bucket, key, b"1")
        s3.delete(bucket, key)
    assert delete_storage(s3, Location(bucket)) == []
    assert not s3.bucket_exists(bucket)


def test_what_a_garbled_name_stands_for_may_be_unknown(seaweedfs: Server) -> None:
    s3 = seaweedfs.connect()
    bucket = versioned(s3, "odd")
    version = s3.put(bucket, "\x01\x02\x03", b"1")
    s3.delete(bucket, "\x01\x02\x03")
    left = delete_storage(s3, Location(bucket))
    assert ("\ufffd\ufffd\ufffd", version, "GarbledKey") in left


def test_commands_name_the_key_once_and_end_with_3(seaweedfs: Server, tmp_path: Path) -> None:
    _, user, bucket = protected(seaweedfs)
    user.put(bucket, GARBLED[0], b"hostile")
    shell = Shell(tmp_path)
    shell.configure("rwm.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"])
    warning = (
        f"warning: bucket {bucket}: the server does not list 1 key in a way that can be relied on: 'data/00/\ufffd'; "
        "all other keys are not affected"
    )
    for command, code in (
        ("state capture", 3),
        ("state sync --again", 3),
        ("storage info", 3),
        ("audit", 4),
        ("storage delete --yes", 0),
    ):
        done = shell("rwm", "-c", "rwm.conf", *command.split(), bucket, code=code)
        assert done.stderr.count(warning) == (code != 0), done.stderr


def test_an_ambiguous_key_is_in_no_state(server: Server, tmp_path: Path) -> None:
    admin, user, bucket = protected(server)
    admin.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    next_second(user, bucket)
    user.put(bucket, PACK, bytes(5001))
    next_second(user, bucket)
    admin.enable_versioning(bucket)
    is_known = server.name == "rgw"
    with Index.open(tmp_path / "one.sqlite") as index:
        info = capture_state(user, index, Location(bucket))
        keys = {entry.key for batch in index.batches(info) for entry in batch.entries()}
        assert keys == {*REPOSITORY} - (set() if is_known else {PACK})
        assert info.bytes == sum(REPOSITORY[key] for key in keys) + is_known
        plan = prune.plan_prune(admin, index, Location(bucket), [info])
        assert (len(plan.versions), plan.first_versions) == (0, int(is_known))
    audit = audit_location(admin, Location(bucket))
    assert audit.counts().get("ambiguous-key", 0) == (not is_known)
    assert audit.verdict_now() == "suspect"


@pytest.mark.slow
def test_a_key_with_very_many_versions_and_markers(seaweedfs: Server, tmp_path: Path) -> None:
    """It is a hint or a proof that names the key, whatever else is done with the bucket."""
    admin, user, bucket = protected(seaweedfs)
    at_once(lambda number: user.put(bucket, PACK, bytes(number % 2)), range(1000))
    at_once(lambda number: user.delete(bucket, PACK), range(1000))
    next_second(admin, bucket)
    audit = audit_location(admin, Location(bucket))
    (repository,) = audit.repositories
    assert repository.versions == len(REPOSITORY) + 2000
    assert {finding.rule.code for finding in audit.findings() if finding.key == PACK} >= {
        "long-history",
        "other-content",
    }
    assert audit.proofs > 100
    with Index.open(tmp_path / "index.sqlite") as index:
        assert capture_state(admin, index, Location(bucket)).objects == len(REPOSITORY) - 1


@pytest.mark.parametrize(
    "cut", [Close(300), Shorten(300), Status(500, "InternalError")], ids=["closed", "shorter", "500"]
)
def test_a_listing_that_is_cut_short_is_an_error(
    seaweedfs: Server, cut: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a repository of which a part is missing, nor a clean one. Also if it ends in the last directory."""
    _, _, bucket = protected(seaweedfs)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        s3 = connect(S3Settings(proxy.url, seaweedfs.accounts["admin"], seaweedfs.region))
        s3.retry_seconds = 0
        assert audit_location(s3, Location(bucket)).verdict_now() == "clean"
        proxy.add(Rule(cut, matching("GET", query={"versions": None, "prefix": "data/"})))
        with pytest.raises(S3Error):
            audit_location(s3, Location(bucket))
