"""``rwm audit --bisect`` with a checker in place of restic on a mount."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rwm.errors import CommandMissing, RwmError
from rwm.index import Index
from rwm.model import StateInfo
from rwm.repositories import RepositoryCount
from rwm.verify import RepositoryCheck
from rwm.verify.mounted import WRONG_PASSWORD
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import HERE, Place
from tests.unit.terminal import Terminal

STATES = 8


class Checker:
    """In place of ``check_with_restic``. ``bad`` are the states that fail; ``errors`` are raised, by number of call."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.bad: set[str] = set()
        self.crashing: set[str] = set()
        self.unknown: dict[str, str] = {}
        self.errors: dict[int, Exception] = {}
        self.states: list[str] = []
        monkeypatch.setattr("rwm.verify.check_with_restic", self)
        for _ in range(STATES):
            run(place.bucket, place.repository.backup(1))
            self.states.append(place.capture())
        place.load()

    def __call__(
        self, config: object, info: StateInfo, repositories: Sequence[RepositoryCount], *_: object
    ) -> list[RepositoryCheck]:
        self.calls.append(info.id)
        if error := self.errors.get(len(self.calls)):
            raise error
        return [self._check(info, repository) for repository in repositories]

    def _check(self, info: StateInfo, repository: RepositoryCount) -> RepositoryCheck:
        if info.id in self.crashing:
            return RepositoryCheck(repository, unknown="restic was ended by signal 9", has_crashed=True)
        if repository.prefix in self.unknown:
            return RepositoryCheck(repository, unknown=self.unknown[repository.prefix])
        return RepositoryCheck(repository, ["error: index"] if info.id in self.bad else [])


@pytest.fixture
def place(rwm_: Terminal, s3: MemoryS3) -> Place:
    return Place(rwm_, s3)


@pytest.fixture
def checker(place: Place, monkeypatch: pytest.MonkeyPatch) -> Checker:
    return Checker(place, monkeypatch)


def bisect(place: Place, *words: str, code: int = 0, location: str = "bucket1") -> dict[str, Any]:
    assert place.rwm(*HERE, "audit", location, "--bisect", *words, "--json") == code, place.rwm.err
    found: dict[str, Any] = json.loads(place.rwm.out)
    return found


def test_all_states_pass_by_one_check(place: Place, checker: Checker) -> None:
    found = bisect(place)
    assert (found["newest_passing"]["id"], found["oldest_failing"]) == (checker.states[-1], None)
    assert (found["states"], found["skipped"], len(checker.calls)) == (STATES, 0, 1)
    assert place.rwm(*HERE, "audit", "bucket1", "--bisect") == 0
    assert f"newest state that passes: {checker.states[-1][:12]} of 20" in place.rwm.out
    assert "assumed: what is wrong in a state stays wrong" in place.rwm.out
    assert len(checker.calls) == 1, "the result is in the index"


def test_the_newest_passing_state_is_found_and_recorded(place: Place, checker: Checker) -> None:
    checker.bad = set(checker.states[5:])
    found = bisect(place, code=4)
    assert found["newest_passing"]["id"] == checker.states[4]
    assert found["oldest_failing"]["id"] == checker.states[5]
    assert len(checker.calls) == len(found["checks"]) <= 4
    assert "restic check fails on state" in place.rwm.err
    again = bisect(place, code=4)
    assert [check["recorded"] for check in again["checks"]] == [True] * len(checker.calls)
    assert again["newest_passing"] == found["newest_passing"]
    count = len(checker.calls)
    bisect(place, "--again", code=4)
    assert len(checker.calls) == 2 * count
    with Index.open(place.rwm.directory / "here.sqlite") as index:
        assert index.verifications.of_states()[checker.states[4]]["restic"].faults == 0


def test_none_passes(place: Place, checker: Checker) -> None:
    checker.bad = set(checker.states)
    assert bisect(place, code=4)["newest_passing"] is None
    assert place.rwm(*HERE, "audit", "bucket1", "--bisect") == 4
    assert "restic check passes on none of them" in place.rwm.out


def test_a_crash_counts_as_failed_and_is_tried_again_by_the_next_run(place: Place, checker: Checker) -> None:
    checker.crashing = {checker.states[-1]}
    found = bisect(place, code=4)
    assert found["checks"][0] == {"id": checker.states[-1], "outcome": "crashed", "recorded": False}
    assert found["newest_passing"]["id"] == checker.states[-2]
    checker.crashing.clear()
    assert bisect(place)["newest_passing"]["id"] == checker.states[-1]


@pytest.mark.parametrize(
    ("error", "text"),
    [(RwmError(WRONG_PASSWORD), "opens no key"), (CommandMissing("restic is not installed"), "is not installed")],
)
def test_a_wrong_password_and_a_missing_program_stop_the_search(
    place: Place, checker: Checker, error: Exception, text: str
) -> None:
    checker.bad, checker.errors = {checker.states[-1]}, {2: error}
    assert place.rwm(*HERE, "audit", "bucket1", "--bisect") == 1
    assert text in place.rwm.err
    assert place.rwm.out == ""
    assert bisect(place, code=4)["newest_passing"]["id"] == checker.states[-2]
    assert checker.calls.count(checker.states[-1]) == 1, "what was found before stays"


def test_suspect_and_incomplete_states_are_left_out(place: Place, checker: Checker) -> None:
    with Index.open(place.rwm.directory / "here.sqlite") as index:
        index._connection.execute("UPDATE state SET trust = 'unknown' WHERE id = ?", (checker.states[0],))
    place.delete_pack()
    place.capture()
    place.load()
    found = bisect(place, code=4)
    assert (found["states"], found["skipped"], found["oldest_failing"]) == (STATES - 1, 2, None)
    assert found["newest_passing"]["id"] == checker.states[-1]


def test_another_password_in_one_repository_is_not_taken_for_a_fault(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    checker = Checker(place, monkeypatch)
    checker.unknown = {"host2/": WRONG_PASSWORD}
    assert rwm_(*HERE, "audit", "bucket1", "--bisect") == 3
    assert f"bucket1/host2: {WRONG_PASSWORD}" in rwm_.err
    found = bisect(place, location="bucket1/host1")
    assert found["newest_passing"]["id"] == checker.states[-1]
    assert bisect(place, location="bucket1/host1")["checks"][0]["recorded"] is False, "of a part, nothing is recorded"


def test_without_a_state_of_the_whole_location_nothing_is_searched(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    place.capture("bucket1/host1")
    place.load()
    assert rwm_(*HERE, "audit", "bucket1", "--bisect") == 1
    assert "no recorded state of bucket1 can be checked" in rwm_.err


def test_again_goes_with_bisect(place: Place) -> None:
    assert place.rwm(*HERE, "audit", "bucket1", "--again") == 2
