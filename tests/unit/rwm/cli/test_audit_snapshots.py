"""``rwm audit --snapshots`` with a reader in place of restic on a mount."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rwm.model import StateInfo
from rwm.restic import Snapshot
from rwm.times import DAY
from rwm.verify import ReadSnapshots
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import HERE, Place
from tests.unit.terminal import Terminal


class Reader:
    """In place of ``read_snapshots``: restic's times are those of the upload, plus ``shifts`` by id."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.calls: list[tuple[str, list[str]]] = []
        self.shifts: dict[str, int] = {}
        self.unreadable: set[str] = set()
        self.result: ReadSnapshots | None = None
        monkeypatch.setattr("rwm.verify.read_snapshots", self)

    def __call__(
        self, config: object, info: StateInfo, wanted: Mapping[str, Sequence[str]]
    ) -> dict[str, ReadSnapshots]:
        self.calls.append((info.id, [one for ids in wanted.values() for one in ids]))
        return {root: self.result or self._read(root, ids) for root, ids in wanted.items()}

    def _read(self, root: str, ids: Sequence[str]) -> ReadSnapshots:
        found = {}
        for name in set(ids) - self.unreadable:
            uploaded = self.place.bucket.history(f"{root}snapshots/{name}")[-1].last_modified
            found[name] = Snapshot(name, uploaded + self.shifts.get(name, 0), "host\x1b", ("/etc", "/srv"))
        return ReadSnapshots(found)


@pytest.fixture
def place(rwm_: Terminal, s3: MemoryS3) -> Place:
    place = Place(rwm_, s3)
    for _ in range(3):
        place.capture()
        run(place.bucket, place.repository.backup(1))
    place.capture()
    place.load()
    return place


@pytest.fixture
def reader(place: Place, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(place, monkeypatch)


def snapshots(place: Place, *words: str, code: int = 0) -> dict[str, Any]:
    assert place.rwm(*HERE, "audit", "bucket1", "--snapshots", *words, "--json") == code, place.rwm.err
    found: dict[str, Any] = json.loads(place.rwm.out)
    return found


def test_each_snapshot_is_read_once_on_the_newest_state_that_has_it(place: Place, reader: Reader) -> None:
    found = snapshots(place)
    assert [len(state["snapshots"]) for state in found["states"]] == [6, 5, 4, 3]
    assert [(state, len(ids)) for state, ids in reader.calls] == [(found["states"][0]["id"], 6)]
    assert {one["id"] for one in found["snapshots"]} == set(found["states"][0]["snapshots"])
    assert found["snapshots"][0]["paths"] == ["/etc", "/srv"]
    assert found["findings"] == found["errors"] == []


def test_a_removed_snapshot_is_read_on_an_older_state(place: Place, reader: Reader) -> None:
    run(place.bucket, place.repository.forget(3))
    place.capture()
    place.load()
    found = snapshots(place, "--states", "2")
    assert [len(state["snapshots"]) for state in found["states"]] == [3, 6]
    assert [len(ids) for _, ids in reader.calls] == [3, 3]
    assert len(found["snapshots"]) == 6


@pytest.mark.parametrize(
    ("shift", "detail"),
    [(-2 * DAY, "restic's time is 2 days before the upload"), (2 * 3_600_000, "restic's time is 2 hours after the")],
)
def test_a_difference_of_more_than_an_hour_is_a_hint(place: Place, reader: Reader, shift: int, detail: str) -> None:
    key = place.repository.files("snapshots")[0]
    reader.shifts[key.rpartition("/")[2]] = shift
    (finding,) = snapshots(place)["findings"]
    assert (finding["code"], finding["level"], finding["key"]) == ("snapshot-time", "hint", key)
    assert finding["detail"].startswith(detail)
    assert place.rwm(*HERE, "audit", "bucket1", "--snapshots") == 0
    assert detail in place.rwm.out
    assert "host\\x1b" in place.rwm.out
    place.rwm.configure("here", audit={"except": ["snapshot-time"]})
    assert snapshots(place)["findings"] == []


def test_its_finding_is_acknowledged_without_the_password(place: Place, reader: Reader) -> None:
    reader.shifts[place.repository.files("snapshots")[0].rpartition("/")[2]] = DAY
    (finding,) = snapshots(place)["findings"]
    acknowledge = (*HERE, "audit", "bucket1", "--note", "a copy", "--ack")
    reader.calls.clear()
    assert place.rwm(*acknowledge, finding["id"]) == 0, place.rwm.err
    assert not reader.calls
    assert snapshots(place)["findings"] == [{**finding, "acknowledged": True}]
    assert place.rwm(*acknowledge, "0123456789ab") == 2
    assert "'0123456789ab' is neither a finding of bucket1 nor a code" in place.rwm.err


@pytest.mark.parametrize("shift", [-3_500_000, 3_500_000])
def test_an_hour_is_usual(place: Place, reader: Reader, shift: int) -> None:
    reader.shifts = {key.rpartition("/")[2]: shift for key in place.repository.files("snapshots")}
    assert snapshots(place)["findings"] == []


def test_a_snapshot_that_cannot_be_read_is_partly_done(place: Place, reader: Reader) -> None:
    name = place.repository.files("snapshots")[0].rpartition("/")[2]
    reader.unreadable = {name}
    (unread,) = [one for one in snapshots(place, code=3)["snapshots"] if one["time"] is None]
    assert unread["id"] == name
    reader.result = ReadSnapshots(error="Fatal: index")
    assert len(snapshots(place, code=3)["errors"]) == 1
    assert place.rwm(*HERE, "audit", "bucket1", "--snapshots") == 3
    assert "not readable" in place.rwm.out


def test_foreign_names_are_no_snapshots(place: Place, reader: Reader) -> None:
    place.bucket.put("snapshots/--password-command=x", 200)
    place.capture()
    place.load()
    assert len(snapshots(place, code=4)["states"][0]["snapshots"]) == 6
    assert not [name for _, ids in reader.calls for name in ids if name.startswith("-")]


def test_a_wrong_password_stops(place: Place, reader: Reader) -> None:
    reader.result = ReadSnapshots(error="Fatal: wrong password or no key found", is_wrong_password=True)
    assert place.rwm(*HERE, "audit", "bucket1", "--snapshots") == 1
    assert "opens no key" in place.rwm.err
    assert place.rwm.out == ""


@pytest.mark.parametrize("words", [("--states", "3"), ("--snapshots", "--bisect"), ("--snapshots", "--states", "0")])
def test_usage(place: Place, words: tuple[str, ...]) -> None:
    assert place.rwm(*HERE, "audit", "bucket1", *words) == 2
