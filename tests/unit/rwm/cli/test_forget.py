"""``rwm forget`` with restic's place taken by the simulated repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rwm.config import Config
from rwm.errors import LockHeld
from rwm.times import DAY, iso
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import Place
from tests.unit.terminal import Terminal

FORGET = ("-c", "forget.conf", "forget")


class FakeRestic:
    """In place of restic: lists the snapshot files of the simulated bucket, and removes those that it is told to."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.calls: list[list[str]] = []
        self.paths: dict[str, list[str]] = {}
        self.times: dict[str, int] = {}
        self.fail: Callable[[str], None] = lambda command: None
        monkeypatch.setattr("rwm.forget.plan.read_restic", self.read)
        monkeypatch.setattr("rwm.forget.execute.execute_restic", self.execute)

    def read(self, config: Config, arguments: list[str]) -> str:
        assert "--no-lock" in arguments, "a plan writes nothing"
        names = [key.rpartition("/")[2] for key in self.place.repository.files("snapshots")]
        paths = {name: self.paths.get(name, ["/etc"]) for name in names}
        times = {name: iso(self.times.get(name, self.place.bucket.now)) for name in names}
        return json.dumps(
            [
                {"id": name, "time": times[name], "hostname": "web1", "paths": paths[name]}
                for name in names
                if paths[name]
            ]
        )

    def execute(self, config: Config, arguments: list[str], on_line: object = None) -> None:
        self.calls.append(arguments)
        self.fail(arguments[0])
        if arguments[0] == "forget":
            for name in arguments[1:]:
                self.place.s3.delete("bucket1", f"{self.place.repository.prefix}snapshots/{name}")


@pytest.fixture
def place(rwm_: Terminal, s3: MemoryS3) -> Place:
    place = Place(rwm_, s3)
    for _ in range(3):
        place.bucket.now += DAY
        run(place.bucket, place.repository.backup(1))
    rwm_.configure("forget", retention={"keep-daily": "2"}, restic_password="secret")
    place.load()
    return place


@pytest.fixture
def restic(place: Place, monkeypatch: pytest.MonkeyPatch) -> FakeRestic:
    return FakeRestic(place, monkeypatch)


def forget(place: Place, *words: str, code: int = 0) -> dict[str, Any]:
    assert place.rwm(*FORGET, "bucket1", *words, "--json") == code, place.rwm.err
    found: dict[str, Any] = json.loads(place.rwm.out)
    return found


def test_a_dry_run_shows_the_plan_and_changes_nothing(place: Place, restic: FakeRestic) -> None:
    before = place.s3.counts("bucket1")
    found = forget(place, "--dry-run")
    assert (found["keep"], len(found["remove"]), found["refused"]) == (2, 4, [])
    (group,) = found["groups"]
    assert [bool(one["rules"]) for one in group["snapshots"]] == [False] * 4 + [True] * 2
    assert place.s3.counts("bucket1") == before and restic.calls == []
    assert place.rwm(*FORGET, "bucket1", "--dry-run") == 0
    assert "keep 2, remove 4" in place.rwm.out and "keep: daily" in place.rwm.out


def test_what_the_plan_names_is_removed_and_a_state_records_it(place: Place, restic: FakeRestic) -> None:
    planned = forget(place, "--dry-run")["remove"]
    found = forget(place, "--yes")
    assert restic.calls == [["forget", *planned], ["prune"]]
    assert (found["removed"], found["left"], found["pruned"], found["errors"]) == (planned, [], True, [])
    assert place.rwm("-c", "forget.conf", "state", "show", found["state"], "--json") == 0
    shown = {entry["key"] for entry in json.loads(place.rwm.out)["entries"]}
    assert not shown & {f"snapshots/{name}" for name in planned}
    assert forget(place, "--yes")["remove"] == []
    assert len(restic.calls) == 2, "nothing to remove: restic is not run"


def test_without_a_terminal_yes_is_needed(place: Place, restic: FakeRestic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert place.rwm(*FORGET, "bucket1", "--no-prune") == 2
    assert "--yes" in place.rwm.err and restic.calls == []
    assert place.rwm(*FORGET, "bucket1", "--no-prune", "--yes") == 0
    assert [call[0] for call in restic.calls] == ["forget"]
    assert "removed 4 snapshots\n" in place.rwm.out


def test_an_open_proof_refuses_until_it_is_acknowledged(place: Place, restic: FakeRestic) -> None:
    place.delete_pack()
    place.load()
    assert place.rwm(*FORGET, "bucket1", "--yes") == 5
    assert "there is a proof of an attack or a fault: unlocked-removal" in place.rwm.err
    assert "nothing was removed" in place.rwm.err and restic.calls == []
    assert place.rwm("-c", "forget.conf", "audit", "bucket1", "--ack", "unlocked-removal", "--note", "a test") in (0, 4)
    assert place.rwm(*FORGET, "bucket1", "--yes") == 0, place.rwm.err


def test_rules_that_only_count_are_warned_of(place: Place, restic: FakeRestic, rwm_: Terminal) -> None:
    rwm_.configure("last", retention={"keep-last": "3"}, restic_password="secret")
    assert rwm_("-c", "last.conf", "forget", "bucket1", "--dry-run") == 0
    assert "many forged snapshots could push out the real ones" in rwm_.err
    assert rwm_(*FORGET, "bucket1", "--dry-run") == 0
    assert "forged" not in rwm_.err


def test_versioning_that_is_off_refuses(place: Place, restic: FakeRestic) -> None:
    place.s3.states["bucket1"] = "Suspended"
    assert place.rwm(*FORGET, "bucket1", "--yes") == 5
    assert "versioning of the bucket is Suspended" in place.rwm.err and restic.calls == []


def test_an_empty_retention_is_refused(place: Place, restic: FakeRestic, rwm_: Terminal) -> None:
    rwm_.configure("empty", restic_password="secret")
    assert place.rwm("-c", "empty.conf", "forget", "bucket1", "--yes") == 5
    assert "no retention is configured: every snapshot would be removed" in place.rwm.err
    rwm_.configure("nothing", restic_password="secret", retention={"keep-last": "0"})
    assert place.rwm("-c", "nothing.conf", "forget", "bucket1", "--yes") == 5
    assert "the retention keeps nothing" in place.rwm.err


def test_a_group_is_never_emptied(place: Place, restic: FakeRestic, rwm_: Terminal) -> None:
    rwm_.configure("tags", retention={"keep-tag": "x"}, restic_password="secret")
    assert place.rwm("-c", "tags.conf", "forget", "bucket1", "--yes") == 5
    assert "no snapshot of host web1; paths /etc would stay, of 6" in place.rwm.err
    assert restic.calls == []


def test_a_snapshot_that_restic_cannot_read_is_kept(place: Place, restic: FakeRestic) -> None:
    name = place.repository.files("snapshots")[0].rpartition("/")[2]
    restic.paths[name] = []
    found = forget(place, "--dry-run")
    assert found["unread"] == [name] and name not in found["remove"]
    assert "1 snapshot file that restic cannot read" in place.rwm.err


def test_late_uploads_are_removed_only_when_asked(place: Place, restic: FakeRestic) -> None:
    names = [key.rpartition("/")[2] for key in place.repository.files("snapshots")]
    restic.times = {name: place.s3.now - (400 - 10 * number) * DAY for number, name in enumerate(reversed(names))}
    found = forget(place, "--yes", code=5)
    assert len(found["late_uploads"]) == 2 and restic.calls == []
    assert "2 snapshots would be removed that the rules keep by restic's own time" in place.rwm.err
    assert place.rwm(*FORGET, "bucket1", "--dry-run", "--late-uploads") == 0
    assert "remove (late upload)" in place.rwm.out
    assert len(forget(place, "--yes", "--late-uploads")["removed"]) == 4


def test_a_lock_and_a_failed_prune(place: Place, restic: FakeRestic) -> None:
    def locked(command: str) -> None:
        raise LockHeld(f"restic {command} of bucket1: the repository is locked by another run")

    restic.fail = locked
    found = forget(place, "--yes", code=7)
    assert found["removed"] == [] and len(found["left"]) == 4
    restic.fail = lambda command: locked(command) if command == "prune" else None
    found = forget(place, "--yes", code=3)
    assert len(found["removed"]) == 4 and not found["pruned"] and found["state"]
    assert "locked by another run" in place.rwm.err


def test_one_of_several_repositories_has_to_be_named(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    rwm_.configure("forget", retention={"keep-daily": "2"}, restic_password="secret")
    place.load()
    assert rwm_(*FORGET, "bucket1", "--yes") == 2
    assert "2 repositories, each with a password of its own: bucket1/host1, bucket1/host2" in rwm_.err


def test_a_proof_in_another_repository_does_not_refuse(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    rwm_.configure("forget", retention={"keep-daily": "2"}, restic_password="secret")
    restic = FakeRestic(place, monkeypatch)
    place.delete_pack(place.repositories[1])
    place.load()
    assert rwm_(*FORGET, "bucket1/host1", "--yes") == 0, rwm_.err
    assert [call[0] for call in restic.calls] == ["forget", "prune"]
    assert rwm_(*FORGET, "bucket1/host2", "--yes") == 5
