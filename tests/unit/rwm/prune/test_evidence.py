"""Which deferred decisions stay, because audits judge by those keys what stays beside them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rwm.model import ObjectVersion, OperationChange, OwnChange
from rwm.prune.deferred import Deferred
from rwm.prune.evidence import EvidenceKeeper
from rwm.prune.key_plan import Deletion, KeyPlan
from rwm.times import iso
from rwm.trust import Captures, Kind, OwnChanges

START = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def history(key: str, *events: int) -> list[ObjectVersion]:
    """Newest first, by times after START: a positive one writes, a negative one removes."""
    return [
        ObjectVersion(key, f"v{number}", False, event < 0, 0, "", START + abs(event))
        for number, event in enumerate(events)
    ][::-1]


class Repositories:
    """Observes keys of repositories, of which some are to be deleted as a whole."""

    def __init__(self, *own: OwnChange) -> None:
        self.keeper = EvidenceKeeper(own=OwnChanges(own))
        self.deferred: list[Deferred] = []

    def add(self, root: str, kind: Kind, entries: Sequence[ObjectVersion], *, doomed: bool) -> bool:
        """Whether the decision is deferred."""
        gone = entries if doomed else ()
        versions = [Deletion(one.key, one.version_id, 0) for one in gone if not one.is_marker]
        markers = [Deletion(one.key, one.version_id, 0) for one in gone if one.is_marker]
        decision = KeyPlan(versions, markers, 0, 0)
        is_deferred = self.keeper.observe(root, kind, entries, decision)
        if is_deferred:
            self.deferred.append(Deferred(root, kind, entries, decision))
        return is_deferred

    def staying(self) -> list[str]:
        """The keys of deferred decisions that stay."""
        stays = self.keeper.decide(self.deferred)
        return [item.history[0].key for item in self.deferred if stays(item)]


@pytest.fixture
def place() -> Repositories:
    return Repositories()


OLDEST = history("locks/a", 1, -MINUTE)


def test_a_lock_stays_for_a_removal_late_in_its_session(place: Repositories) -> None:
    assert place.add("", Kind.LOCKS, OLDEST, doomed=True)
    assert place.add("", Kind.LOCKS, history("locks/b", HOUR, -2 * HOUR), doomed=True)
    place.add("", Kind.DATA, history("data/p", 10, -(HOUR + 50 * MINUTE)), doomed=False)
    assert place.staying() == ["locks/a", "locks/b"]


def test_a_lock_that_was_never_removed_is_of_its_session(place: Repositories) -> None:
    """The other locks of the session stay too: the audit asks for all of it."""
    place.add("", Kind.LOCKS, OLDEST, doomed=True)
    assert not place.add("", Kind.LOCKS, history("locks/b", HOUR), doomed=False)
    place.add("", Kind.LOCKS, history("locks/c", 2 * HOUR, -3 * HOUR), doomed=True)
    place.add("", Kind.DATA, history("data/p", 10, -(HOUR + 20 * MINUTE)), doomed=False)
    assert place.staying() == ["locks/a", "locks/c"]


def test_a_lock_stays_for_a_removal_that_rwm_has_undone() -> None:
    """The audit judges the marker as if it were there, until RWM removed it."""
    unmarked = OperationChange("unmarked", "data/p", "m", at=START + HOUR + MINUTE)
    for changes in ((), (OwnChange(START + 5 * HOUR, unmarked),)):
        place = Repositories(*changes)
        place.add("", Kind.LOCKS, OLDEST, doomed=True)
        place.add("", Kind.LOCKS, history("locks/b", HOUR, -2 * HOUR), doomed=True)
        place.add("", Kind.DATA, history("data/p", 10), doomed=False)
        assert place.staying() == ["locks/a", *["locks/b"] * len(changes)]


def test_an_index_stays_for_the_removal_of_another_one_that_rwm_has_undone() -> None:
    unmarked = OperationChange("unmarked", "index/a", "m", at=START + 2 * HOUR)
    place = Repositories(OwnChange(START + 5 * HOUR, unmarked))
    place.add("", Kind.INDEX, history("index/a", HOUR), doomed=False)
    place.add("", Kind.INDEX, history("index/b", HOUR + MINUTE, -6 * HOUR), doomed=True)
    assert place.staying() == ["index/b"]


def test_an_index_that_stays_needs_no_other_one(place: Repositories) -> None:
    removed = history("index/a", HOUR, -2 * HOUR)
    for stays in (True, False):
        place = Repositories()
        place.add("", Kind.INDEX, removed, doomed=False)
        if stays:
            place.add("", Kind.INDEX, history("index/c", HOUR), doomed=False)
        assert place.add("", Kind.INDEX, history("index/b", HOUR + MINUTE, -3 * HOUR), doomed=True)
        assert place.staying() == ([] if stays else ["index/b"])


def test_the_evidence_of_one_repository_is_none_of_another(place: Repositories) -> None:
    for root in ("host1/", "host2/"):
        place.add(root, Kind.LOCKS, history(f"{root}locks/0", 1, -MINUTE), doomed=True)
    place.add("host1/", Kind.INDEX, history("host1/index/a", HOUR, -2 * HOUR), doomed=False)
    place.add("host2/", Kind.INDEX, history("host2/index/b", HOUR + MINUTE, -3 * HOUR), doomed=True)
    place.add("host1/", Kind.LOCKS, history("host1/locks/a", HOUR, -3 * HOUR), doomed=True)
    place.add("host2/", Kind.LOCKS, history("host2/locks/b", HOUR, -3 * HOUR), doomed=True)
    assert place.staying() == ["host1/locks/0", "host2/locks/0", "host1/locks/a"]


def test_what_is_deleted_needs_no_evidence(place: Repositories) -> None:
    place.add("", Kind.LOCKS, OLDEST, doomed=True)
    place.add("", Kind.LOCKS, history("locks/b", HOUR, -2 * HOUR), doomed=True)
    assert not place.add("", Kind.DATA, history("data/p", 10, -(HOUR + MINUTE)), doomed=True)
    assert place.staying() == ["locks/a"]


def test_a_lock_that_may_be_kept_for_a_state_takes_no_place_of_the_oldest_one() -> None:
    """Else every machine could end the judgement of removals, by a state file beside each lock."""
    place, captures = Repositories(), Captures()
    captures.add(history(f"rwm/states/{iso(START + HOUR)}-{'0' * 64}.jsonl.gz", HOUR + MINUTE))
    place.keeper = EvidenceKeeper(captures)
    place.add("", Kind.LOCKS, history("locks/a", HOUR - MINUTE, -(HOUR + MINUTE)), doomed=True)
    place.add("", Kind.LOCKS, history("locks/b", 2 * HOUR, -3 * HOUR), doomed=True)
    place.add("", Kind.LOCKS, history("locks/c", 4 * HOUR, -5 * HOUR), doomed=True)
    assert place.staying() == ["locks/b"]


def test_markers_that_an_interrupted_prune_has_left_begin_no_lock(place: Repositories) -> None:
    """Their version is gone, so they would stand for a lock of a day."""
    place.add("", Kind.LOCKS, history("locks/b", -50 * HOUR), doomed=True)
    place.add("", Kind.LOCKS, history("locks/c", 40 * HOUR, -(40 * HOUR + MINUTE)), doomed=True)
    place.add("", Kind.LOCKS, OLDEST, doomed=True)
    place.add("", Kind.DATA, history("data/p", 10, -(45 * HOUR)), doomed=False)
    assert place.staying() == ["locks/a"], "of a removal without a lock the oldest one stays"


def test_a_marker_that_stays_without_its_version_stands_for_a_lock_of_a_day(place: Repositories) -> None:
    place.add("", Kind.LOCKS, history("locks/b", -50 * HOUR), doomed=False)
    place.add("", Kind.LOCKS, history("locks/c", 40 * HOUR, -(40 * HOUR + MINUTE)), doomed=True)
    place.add("", Kind.LOCKS, OLDEST, doomed=True)
    place.add("", Kind.DATA, history("data/p", 10, -(45 * HOUR)), doomed=False)
    assert place.staying() == ["locks/c", "locks/a"], "it is in the session of the removal"
