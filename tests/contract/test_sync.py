"""Sync on the real servers, with everything that the machine's account can write there."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from rwm import prune, retention
from rwm.errors import AccessDenied, IndexDamaged
from rwm.index import Index, move_aside
from rwm.layout import STATES_PREFIX
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.s3 import S3
from rwm.statefile.canonical import canonical_form, file_key, identified
from rwm.states.capture import capture_state
from rwm.states.comparison import ComparisonResult
from rwm.states.sync import SyncResult, compare_with_history, list_state_files, new_state_files, sync_states
from rwm.storage import create_storage
from rwm.times import iso
from tests.contract.buckets import next_second, unique
from tests.keeping import keep_last
from tests.servers import Server


class Place:
    """A protected bucket with some of a repository in it, and both accounts."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.admin, self.user, self.bucket = server.connect(), server.connect("user1"), unique("sync")
        self.directory = directory
        create_storage(self.admin, self.bucket, "user1")
        for key in ("config", "keys/k", "snapshots/s", *(f"data/{n:02x}/{n:064x}" for n in range(20)), "data/я"):
            self.user.put(self.bucket, key, key.encode())

    def index(self, name: str) -> Index:
        return Index.open(self.directory / f"{name}.sqlite")

    def capture(self, account: S3, index: Index) -> StateInfo:
        """Change the bucket and capture a state, in a second of its own."""
        self.user.put(self.bucket, f"data/00/{len(index.states())}", b"1")
        next_second(self.user, self.bucket)
        info = capture_state(account, index, Location(self.bucket))
        next_second(self.user, self.bucket)
        return info

    def sync(self, index: Index) -> tuple[SyncResult, list[ComparisonResult]]:
        """Synchronise as ``rwm state sync`` does, with the admin's keys."""
        files = list_state_files(self.admin, Location(self.bucket))
        came = sync_states(
            self.admin, index, Location(self.bucket), files, new_state_files(index, Location(self.bucket), files)
        )
        return came, compare_with_history(self.admin, index, Location(self.bucket), files)

    def files(self) -> list[str]:
        return sorted({version.key for version in self.admin.versions(self.bucket, STATES_PREFIX)})


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Place:
    return Place(server, tmp_path)


@pytest.fixture
def index(place: Place) -> Iterator[Index]:
    """An empty index."""
    with place.index("fresh") as index:
        yield index


def trusts(index: Index) -> list[str]:
    return [one.trust for one in index.recorded()]


def test_sync_imports_states_of_both_accounts_once(place: Place, index: Index) -> None:
    with place.index("machine") as machine, place.index("admin") as admin:
        infos = [place.capture(place.user, machine) for _ in range(2)] + [place.capture(place.admin, admin)]
        known = {info: [*source.entries(info)] for source in (machine, admin) for info in source.states()}
    assert len(place.files()) == 3 and any(".delta." in key for key in place.files())
    came, judged = place.sync(index)
    assert (came.recorded, came.rejected, came.unread) == (infos, [], [])
    assert [one.verdict for one in judged] == ["verified"] * 3, [one.contradictions for one in judged]
    assert {info: [*index.entries(info)] for info in index.states()} == known

    asked: list[tuple[str, str]] = []

    def note(model: Any, params: dict[str, Any], **_: object) -> None:
        asked.append((model.name, params["query_string"].get("prefix", "")))

    place.admin.client.meta.events.register("before-call.s3", note)
    assert place.sync(index) == (SyncResult(), [])
    assert set(asked) <= {("ListObjectVersions", "rwm/"), ("ListObjectVersions", ""), ("ListObjectsV2", "")}


def test_sync_ignores_overwritten_and_deleted_state_files(place: Place, index: Index) -> None:
    with place.index("machine") as machine:
        infos = [place.capture(place.user, machine) for _ in range(2)]
    for key in place.files():
        place.user.put(place.bucket, key, b"garbage")
        place.user.delete(place.bucket, key)
        place.user.put(place.bucket, key, b"other garbage")
    came, judged = place.sync(index)
    assert (came.recorded, came.rejected) == (infos, [])
    assert [one.verdict for one in judged] == ["verified"] * 2


def test_forged_states_are_contradicted_and_other_files_rejected(place: Place, index: Index) -> None:
    with place.index("machine") as machine:
        (true,) = [place.capture(place.user, machine)]
        entries = [*machine.entries(true)]
    now = place.admin.server_time(place.bucket) - 1000

    def forge(contents: list[Entry], second: int = now, bucket: str = place.bucket) -> StateInfo:
        info = StateInfo("", bucket, second, "backup", len(contents), sum(entry.size for entry in contents), "ok")
        info = identified(info, contents)
        place.user.put(place.bucket, file_key(info), gzip.compress(b"".join(canonical_form(info, contents))))
        return info

    lacking = forge(entries[:-1])
    first = next(n for n, entry in enumerate(entries) if entry.key == "config")
    swapped = forge([*entries[:first], entries[first]._replace(size=1), *entries[first + 1 :]])
    future = forge(entries, now + 3_600_000)
    empty = forge([])
    elsewhere = forge(entries, bucket="elsewhere")
    garbage = file_key(true).replace(true.id, "f" * 64)
    place.user.put(place.bucket, garbage, b"garbage")
    came, judged = place.sync(index)
    assert sorted(one.key for one in came.rejected) == sorted([file_key(elsewhere), garbage])
    found = {one.info: one for one in judged}
    assert {info: one.verdict for info, one in found.items()} == {
        true: "verified",
        future: "unknown",  # clocks may differ
        **dict.fromkeys([lacking, swapped, empty], "contradicted"),
    }
    assert [fault.key for fault in found[lacking].contradictions] == [entries[-1].key]
    assert [(fault.key, fault.version_id) for fault in found[swapped].contradictions] == [entries[first][:2]]
    assert "its file was written at" in found[future].doubt
    assert found[empty].contradicted == len(entries)
    assert index.resolve("latest", Location(place.bucket)) == true


def test_states_captured_during_writes_are_verified(place: Place, index: Index) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            place.user.put(place.bucket, f"data/{number % 16:02x}/born-{number}", b"1")
            place.user.put(place.bucket, "index/i", str(number).encode())
            place.user.put(place.bucket, "locks/l", b"1")
            place.user.delete(place.bucket, "locks/l")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with place.index("machine") as machine:
            infos = [capture_state(place.user, machine, Location(place.bucket)) for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    next_second(place.admin, place.bucket)
    came, judged = place.sync(index)
    assert came.recorded == infos
    assert [(one.verdict, one.contradictions) for one in judged] == [("verified", ())] * 3


def test_after_a_prune_older_states_are_unknown(place: Place, index: Index) -> None:
    with place.index("admin") as admin:
        place.user.put(place.bucket, "index/i", b"1")
        place.capture(place.admin, admin)
        place.user.delete(place.bucket, "index/i")
        place.capture(place.admin, admin)
        plan = prune.plan_prune(
            place.admin,
            admin,
            Location(place.bucket),
            retention.select_kept_states(admin, Location(place.bucket), keep_last(1), []),
        )
        assert plan.versions
        prune.execute_prune(place.admin, plan)
    place.sync(index)
    assert trusts(index) == ["unknown", "verified"]


def test_a_damaged_index_is_rebuilt(place: Place) -> None:
    with place.index("admin") as admin:
        infos = [place.capture(place.admin, admin) for _ in range(2)]
        known = {info: [*admin.entries(info)] for info in infos}
    path = place.directory / "admin.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(IndexDamaged):
        place.index("admin")
    move_aside(path)
    with place.index("admin") as admin:
        came, _ = place.sync(admin)
        assert came.recorded == infos
        assert {info: [*admin.entries(info)] for info in admin.states()} == known
        assert trusts(admin) == ["verified"] * 2


def test_a_file_of_the_original_tool(server: Server, place: Place, index: Index) -> None:
    """A file with what boto3 lists, and times as Python prints them."""
    next_second(place.admin, place.bucket)
    started = iso(place.admin.server_time(place.bucket) - 1000)
    place.user.delete(place.bucket, "data/я")  # after it began: its listing took some time
    plain = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.accounts["admin"].access_key,
        aws_secret_access_key=server.accounts["admin"].secret_key,
    )
    answer = plain.list_object_versions(Bucket=place.bucket)
    document = {
        "bucket_name": place.bucket,
        "bucket_acl": {},
        "time_start": started,
        "time_end": started,
        "versions": answer.get("Versions", []),
        "delete_markers": answer.get("DeleteMarkers", []),
    }
    key = f"rwm/state_{started}.json.gz"
    place.admin.put(place.bucket, key, gzip.compress(json.dumps(document, default=str).encode()))
    came, judged = place.sync(index)
    assert came.rejected == []
    (info,) = came.recorded
    assert (info.origin, iso(info.captured_at), [one.verdict for one in judged]) == ("original", started, ["verified"])
    heads = {one["Key"]: one["VersionId"] for one in answer["Versions"] if one["IsLatest"]}
    assert len(heads) == 23
    assert {entry.key: entry.version_id for entry in index.entries(info)} == heads
    assert place.sync(index) == (SyncResult(), [])


def test_a_machine_captures_and_syncs_with_keys_of_its_prefix_only(server: Server, tmp_path: Path) -> None:
    """The admin gets its states too, and what the machine writes about another one is rejected."""
    admin, bucket = server.connect(), unique("prefixes")
    create_storage(admin, bucket, "user1:host1/", "user2:host2/")
    machines = {"host1/": server.connect("user1"), "host2/": server.connect("user2")}
    locations = {prefix: Location(bucket, prefix) for prefix in machines}
    for prefix, machine in machines.items():
        for name in ("config", "keys/k", "data/00/p", "snapshots/s"):
            machine.put(bucket, prefix + name, name.encode())
    infos: list[StateInfo] = []
    for prefix, machine in machines.items():
        next_second(admin, bucket)
        with Index.open(tmp_path / f"{prefix[:-1]}.sqlite") as index:
            infos.append(capture_state(machine, index, locations[prefix]))
            with pytest.raises(AccessDenied):
                capture_state(machine, index, Location(bucket))
            for other in locations.values():
                if other.prefix != prefix:
                    with pytest.raises(AccessDenied):
                        capture_state(machine, index, other)
            assert index.states() == infos[-1:]
    forged = StateInfo("", bucket, infos[0].captured_at, "capture", 0, 0, prefix="host2/")
    forged = identified(forged, [])
    key = file_key(forged).replace("host2/", "host1/", 1)
    machines["host1/"].put(bucket, key, gzip.compress(b"".join(canonical_form(forged, []))))
    next_second(admin, bucket)
    with Index.open(tmp_path / "admin.sqlite") as index:
        files = list_state_files(admin, Location(bucket))
        result = sync_states(admin, index, Location(bucket), files, files)
        assert (result.recorded, [file.key for file in result.rejected]) == (infos, [key])
        judged = compare_with_history(admin, index, Location(bucket), files)
        assert [(one.info, one.verdict) for one in judged] == [(info, "verified") for info in infos]
