"""``rwm recover`` without a mountpoint: which state it chooses, and what it lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import BadResponse
from rwm.layout import REPOSITORY_DIRECTORIES
from rwm.model import ObjectVersion
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import HERE, Place
from tests.unit.states import name_another_version
from tests.unit.terminal import Terminal


@pytest.fixture
def place(rwm_: Terminal, s3: MemoryS3) -> Place:
    return Place(rwm_, s3)


def recover(place: Place, code: int = 0) -> dict[str, Any]:
    place.load()
    assert place.rwm(*HERE, "recover", "bucket1", "--json") == code, place.rwm.err
    found: dict[str, Any] = json.loads(place.rwm.out)
    return found


def on_an_empty_computer() -> None:
    for path in Path.cwd().glob("here.sqlite*"):
        path.unlink()


def test_the_last_clean_state_by_one_listing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    good = place.capture()
    place.delete_pack()
    place.capture()
    on_an_empty_computer()
    asked: Counter[str] = Counter()
    batches = place.s3.version_batches

    def counting(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        asked[prefix] += 1
        return batches(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(place.s3, "version_batches", counting)
    assert recover(place)["state"]["id"] == good
    assert [asked[f"{name}/"] for name in REPOSITORY_DIRECTORIES] == [1] * 5


def test_a_state_that_somebody_changed_in_the_index(place: Place) -> None:
    good = place.capture()
    key = place.repository.files("data")[0]
    place.bucket.now += 3_600_000
    place.bucket.put(key, 1000)
    place.load()
    name_another_version(Path("here.sqlite"), key, place.s3.present("bucket1")[key])
    assert place.rwm(*HERE, "recover", "bucket1") == 1
    assert "has other entries than its id says" in place.rwm.err
    on_an_empty_computer()
    assert recover(place)["state"]["id"] == good


def test_a_state_of_which_versions_are_gone_is_not_chosen(place: Place) -> None:
    """The state was captured here, and versions of it were deleted elsewhere; the listing shows no removal."""
    old, before = place.capture(), set(place.repository.files("data"))
    run(place.bucket, place.repository.backup(3))
    new = place.capture()
    assert recover(place)["state"]["id"] == new
    for key in set(place.repository.files("data")) - before:
        place.bucket.remove_version(key, place.bucket.newest(key).version_id)
    for _ in range(2):  # the first time it is noticed, the second time known
        found = recover(place)
        assert found["state"]["id"] == old
        gone = "versions of newer states are gone from the bucket: no rwm prune since then is recorded"
        assert found["why"] == f"it is the newest clean one; {gone}"


def test_states_that_cannot_be_compared_leave_the_history(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.capture()
    on_an_empty_computer()

    def failing(*_: object, **__: object) -> None:
        raise BadResponse("the listing goes backwards")

    monkeypatch.setattr("rwm.states.compare_with_history", failing)
    found = recover(place)
    assert (found["state"], found["why"]) == (None, "no recorded state is clean")
    assert "could not be compared with the bucket's history: the listing goes backwards" in place.rwm.err
