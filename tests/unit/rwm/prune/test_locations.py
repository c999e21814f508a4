"""Prune of several locations in one bucket: a property test against a model, and what is said of each location."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rwm.errors import IndexDamaged, NotFound, StateNotFound
from rwm.index import Index
from rwm.layout import is_own_key
from rwm.location import Location
from rwm.model import ObjectVersion, StateInfo
from rwm.prune import PrunePlan, plan_prune, prune_and_forget
from rwm.retention import select_kept_states
from rwm.states.capture import capture_state
from rwm.times import SECOND, iso
from rwm.trust import LocationAudit, audit_location
from tests.keeping import keep_last
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"
WHOLE, HOST1, SUB, HOST2 = (Location(BUCKET, prefix) for prefix in ("", "host1/", "host1/sub/", "host2/"))
LOCATIONS = (WHOLE, HOST1, SUB, HOST2)
KEYS = (
    "config",
    "data/a",
    "host1/config",
    "host1/data/a",
    "host1/sub/config",
    "host1/sub/b",
    "host2/config",
    "host12/c",
)
PACK = "data/ab/" + "ab" * 32
CONFIG = b"c" * 155
KEY, PACKS = b"k" * 440, [bytes([n]) * 300 for n in range(6)]


def describe(info: StateInfo) -> str:
    return f"{info.id[:12]} ({iso(info.captured_at)})"


class Captured(NamedTuple):
    """A state in the model: version id by key."""

    info: StateInfo
    versions: dict[str, str]


class History:
    """A bucket with states of several locations, and the same states in the model."""

    def __init__(self, index: Index) -> None:
        self.s3 = MemoryS3(BUCKET)
        self.index = index
        self.captured: list[Captured] = []

    def put(self, *keys: str) -> None:
        for key in keys:
            self.s3.put(BUCKET, key, b"1")

    def create_repository(self, location: Location) -> list[str]:
        """Write a repository as restic does; returns the keys of its packs."""
        packs = [location.key(named("data", pack)) for pack in PACKS]
        self.s3.put(BUCKET, location.key("config"), CONFIG)
        self.s3.put(BUCKET, location.key(named("keys", KEY)), KEY)
        for key, content in zip(packs, PACKS, strict=True):
            self.s3.put(BUCKET, key, content)
        return packs

    def capture(self, location: Location) -> StateInfo:
        present = self.present()
        info = capture_state(self.s3, self.index, location)
        below = {key: version for key, version in present.items() if key.startswith(location.prefix)}
        self.captured.append(Captured(info, below))
        return info

    def present(self) -> dict[str, str]:
        """The current listing without RWM's own objects."""
        return {key: version for key, version in self.s3.present(BUCKET).items() if not is_own_key(key)}

    def histories(self) -> dict[str, list[ObjectVersion]]:
        """The entries of each key, newest first, without keys of which nothing is left."""
        return {key: list(entries) for key, entries in self.s3.buckets[BUCKET].items() if entries}

    def plan(self, location: Location, *, last: int = 1, named: tuple[str, ...] = ()) -> PrunePlan:
        self.s3.now += SECOND  # what was written in the second of the audit is too young
        keep = select_kept_states(self.index, location, keep_last(last), named)
        return plan_prune(self.s3, self.index, location, keep)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield History(index)


# --- the model -------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """What a prune leaves in the bucket and in the index."""

    refused: bool
    left: dict[str, list[ObjectVersion]]
    states: list[StateInfo]


def expect(history: History, pruned: Location, last: int, named: tuple[str, ...]) -> Expected:
    """Apply the rules in the plainest way."""
    ruled = [place for place in LOCATIONS if pruned in (WHOLE, place)]
    kept: list[Captured] = []
    refused, judged = False, []
    for place in LOCATIONS:
        states = [one for one in history.captured if one.info.location == place]
        if place in ruled and states:
            names = {one.info.id for one in states if one.info.id in named}
            full = [one for one in states if one.versions]
            newest = {one.info.id for one in full[-last:]}
            after = full[-1].info.captured_at if full else -1
            newest |= {one.info.id for one in states if not one.versions and one.info.captured_at > after}
            states = [one for one in states if one.info.id in names | newest]
            refused |= not states[-1].versions
            judged.append(place)
        kept += states if place not in ruled or states else []
    needed = {(key, version) for one in kept for key, version in one.versions.items()}
    left = {
        key: leave(entries, needed)
        if key.startswith(pruned.prefix) and not is_own_key(key) and any(key.startswith(p.prefix) for p in judged)
        else entries
        for key, entries in history.histories().items()
    }
    there = {(entry.key, entry.version_id) for entries in left.values() for entry in entries}
    before = {(entry.key, entry.version_id) for entries in history.histories().values() for entry in entries}
    recorded = []
    for one in history.captured:
        wanted = set(one.versions.items())
        if one in kept or wanted <= there or not wanted & before:
            recorded.append(one.info)
    return Expected(refused or not judged, {key: entries for key, entries in left.items() if entries}, recorded)


def leave(entries: list[ObjectVersion], needed: set[tuple[str, str]]) -> list[ObjectVersion]:
    """The entries of a key that stay: what is current or needed, and markers above one of these."""
    left: list[ObjectVersion] = []
    for entry in reversed(entries):
        if left if entry.is_marker else entry.is_latest or (entry.key, entry.version_id) in needed:
            left.insert(0, entry)
    return left


actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS)),
        st.tuples(st.just("capture"), st.sampled_from(LOCATIONS)),
    ),
    max_size=20,
)

EMPTY_BETWEEN = [step for did in ("put", "delete", "put") for step in ((did, "host1/sub/b"), ("capture", SUB))]
"""A state without objects, which fills no slot of a rule, between two others."""


@settings(max_examples=60)
@example(EMPTY_BETWEEN, WHOLE, 2, set())
@given(
    actions=actions,
    pruned=st.sampled_from(LOCATIONS),
    last=st.integers(1, 2),
    names=st.sets(st.integers(0, 9), max_size=2),
)
def test_a_prune_of_nested_locations_equals_the_model(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, str | Location]],
    pruned: Location,
    last: int,
    names: set[int],
) -> None:
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        history = History(index)
        for action, where in actions:
            if isinstance(where, Location):
                with suppress(NotFound):  # nothing was ever below it
                    history.capture(where)
            else:
                getattr(history.s3, action)(BUCKET, where, *([b"1"] if action == "put" else []))
        overlapping = [one.info.id for one in history.captured if one.info.location.overlaps(pruned)]
        named = tuple(overlapping[n] for n in names if n < len(overlapping))
        expected = expect(history, pruned, last, named)
        present = history.s3.present(BUCKET)

        plan = history.plan(pruned, last=last, named=named)
        assert bool(plan.refused) == expected.refused
        if plan.refused:
            return
        prune_and_forget(history.s3, index, plan)

        assert {k: [e.version_id for e in v] for k, v in history.histories().items()} == {
            k: [e.version_id for e in v] for k, v in expected.left.items()
        }
        assert history.s3.present(BUCKET) == present
        assert index.states() == expected.states
        captured = {one.info.id: one.versions for one in history.captured}
        for info in index.states():
            assert {entry.key: entry.version_id for entry in index.entries(info)} == captured[info.id]
        assert sum(place.versions for place in plan.locations) == len(plan.versions)
        assert sum(place.markers for place in plan.locations) == len(plan.markers)
        again = history.plan(pruned, last=last, named=tuple(set(named) & {info.id for info in index.states()}))
        assert (len(again.versions), len(again.markers), again.lost_states) == (0, 0, ())


# --- what is said of each location -----------------------------------------------------------------------


def machines(history: History) -> None:
    """Repositories of two machines, with two states of each, and one of the whole bucket between them."""
    for whole in (True, False):
        for place in (HOST1, HOST2):
            history.put(place.key("config"), place.key(PACK), place.key("notes"))
            history.capture(place)
        if whole:
            history.capture(WHOLE)


def test_the_keep_rule_applies_to_each_location_by_itself(history: History) -> None:
    machines(history)
    plan = history.plan(WHOLE)
    assert plan.refused == plan.findings == ()
    assert [(place.location, len(place.kept_states), len(place.lost_states)) for place in plan.locations] == [
        (WHOLE, 1, 0), (HOST1, 1, 0), (HOST2, 1, 0),
    ]  # fmt: skip
    assert not plan.versions  # the first states of the machines are parts of the state of the bucket


def test_the_prune_of_a_prefix_deletes_only_below_it_and_keeps_other_states(history: History) -> None:
    history.put("host1/notes", "host2/notes", "host1/sub/notes")
    first = history.capture(HOST1)
    history.put("host1/notes", "host2/notes", "host1/sub/notes")
    sub = history.capture(SUB)
    history.put("host1/notes", "host2/notes", "host1/sub/notes")
    last = history.capture(HOST1)
    plan = history.plan(HOST1)
    assert [version.key for version in plan.versions] == ["host1/notes", "host1/notes", "host1/sub/notes"]
    assert (plan.kept_states, plan.lost_states) == ((last, sub), (first,))
    whole = history.capture(WHOLE)
    assert whole in history.plan(HOST1).kept_states


def test_a_state_of_another_location_is_kept_by_name(history: History) -> None:
    machines(history)
    whole = history.captured[2].info
    assert whole in select_kept_states(history.index, WHOLE, keep_last(1), [whole.id])
    assert whole in select_kept_states(history.index, HOST1, keep_last(1), [whole.id])
    other = history.captured[1].info
    with pytest.raises(StateNotFound):
        select_kept_states(history.index, HOST1, keep_last(1), [other.id])


def test_keys_that_no_kept_state_covers_are_left_alone(history: History) -> None:
    """Nothing is known of a machine whose states were never captured."""
    history.put("host1/notes", "host2/notes")
    history.put("host1/notes", "host2/notes")
    history.capture(HOST1)
    plan = history.plan(WHOLE)
    assert plan.refused == ()
    assert [version.key for version in plan.versions] == ["host1/notes"]
    assert plan.uncovered == 2


def test_keys_whose_states_are_all_contradicted_are_left_alone(history: History) -> None:
    """None of these states can be kept, so what is needed is not known."""
    history.put("host1/notes", "host2/notes")
    history.capture(HOST1)
    forged = history.capture(HOST2)
    history.put("host1/notes", "host2/notes")
    history.capture(HOST1)
    history.index.ledger.set_trust({forged.id: "contradicted"}, 1)
    plan = history.plan(WHOLE)
    assert plan.refused == ()
    assert [version.key for version in plan.versions] == ["host1/notes"]
    assert plan.uncovered == 2


def test_a_prefix_without_a_state_of_its_own_is_refused(history: History) -> None:
    machines(history)
    (reason,) = history.plan(SUB).refused
    assert reason == "no state of bucket1/host1/sub is recorded: `rwm state capture bucket1/host1/sub` records one"


def test_one_incomplete_location_refuses_all_and_the_others_can_be_pruned(history: History) -> None:
    machines(history)
    history.s3.remove(BUCKET, "host1/notes", history.present()["host1/notes"])
    plan = history.plan(WHOLE)
    (reason,) = plan.refused
    assert reason.startswith("bucket1/host1: the newest kept state ")
    assert reason.endswith("is not complete: 1 of its 3 versions are not in the bucket")
    assert [place.location for place in plan.prunable_prefixes(force=False)] == [HOST2]
    assert history.plan(HOST2).refused == ()


def test_an_attack_on_one_location_is_found_there(history: History) -> None:
    history.create_repository(HOST1)
    packs = history.create_repository(HOST2)
    history.capture(HOST1)
    clean = history.capture(HOST2)
    whole = history.capture(WHOLE)
    history.s3.now += SECOND
    written = history.s3.now
    history.s3.put(BUCKET, packs[0], b"garbage")
    history.s3.now += SECOND
    newest = history.capture(HOST2)
    plan = history.plan(WHOLE)
    assert plan.refused == ()
    found = [finding for finding in plan.findings if "cannot be used" not in finding]  # the pack may be in the sample
    at, text = iso(written), "a proof of an attack or a fault"
    assert found == [
        f"bucket1: {text} ({at}) is younger than the newest clean state kept, {describe(whole)}",
        f"bucket1/host2: the newest kept state {describe(newest)} is suspect: other-content",
        f"bucket1/host2: there is {text}, and no kept state is clean",
    ]
    assert [place.last_clean for place in plan.locations][2] == clean
    assert not plan.versions


def test_the_last_clean_state_is_not_ended(history: History) -> None:
    history.create_repository(HOST1)
    clean = history.capture(HOST1)
    history.s3.now += SECOND
    history.s3.delete(BUCKET, HOST1.key("config"))
    history.s3.now += SECOND
    history.capture(HOST1)
    (reason,) = history.plan(HOST1).refused
    assert reason.startswith(f"this would end the last clean state {describe(clean)}: keep it too")
    both = history.plan(HOST1, named=(clean.id,))
    assert (both.refused, len(both.versions), len(both.markers)) == ((), 0, 0)


def test_what_is_replaced_after_the_audit_is_too_young(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of the audit is over before it lists, so what is of that second may be deleted."""
    history.put("before", "after")
    history.capture(WHOLE)

    def audit(s3: MemoryS3, location: Location, **arguments: Any) -> LocationAudit:
        found = audit_location(s3, location, **arguments)
        for key, at in (("before", found.now), ("after", found.now + SECOND)):
            s3.now = at
            s3.put(BUCKET, key, b"2")
        return found

    keep = select_kept_states(history.index, WHOLE, keep_last(1), ())
    monkeypatch.setattr("rwm.prune.plan.audit_location", audit)
    monkeypatch.setattr("rwm.prune.location_plan.LocationCollector.kept_ids", lambda *_: set())
    plan = plan_prune(history.s3, history.index, WHOLE, keep)
    assert [version.key for version in plan.versions] == ["before"]
    assert plan.too_young == 1


def test_lost_files_of_one_machine_are_found_among_those_of_all(history: History) -> None:
    packs, _ = [history.create_repository(place) for place in (HOST1, HOST2)]
    history.capture(WHOLE)
    for pack in packs:
        history.s3.delete(BUCKET, pack)
    history.capture(WHOLE)
    *_, finding = history.plan(WHOLE).findings
    assert "has 2 files of the repository host1/, and state " in finding
    assert finding.endswith("which this would end, has 8")


def test_states_of_other_locations_have_the_entries_that_their_ids_name(history: History) -> None:
    """All of them are kept. The states of the pruned prefix are as they were."""
    history.put("host1/data/a")
    whole = history.capture(WHOLE)
    history.s3.now += SECOND
    history.put("host1/data/a")
    history.capture(HOST1)
    assert [len(history.plan(HOST1).versions), len(history.plan(HOST1, named=(whole.id,)).versions)] == [0, 0]
    with closing(sqlite3.connect(history.index.path, isolation_level=None)) as connection:
        oldest = "since = (SELECT min(since) FROM version)"
        assert connection.execute(f"UPDATE version SET version_id = 'v9' WHERE {oldest}").rowcount == 1
    for named_states in ((), (whole.id,)):
        with pytest.raises(IndexDamaged, match=f"state {whole.short} .* has other entries"):
            history.plan(HOST1, named=named_states)


def test_a_location_none_of_whose_states_is_kept_is_refused(history: History) -> None:
    machines(history)
    plan = history.plan(WHOLE, last=0, named=(history.captured[0].info.id,))
    assert [reason.partition(":")[0] for reason in plan.refused] == ["bucket1", "bucket1/host2"]
    assert "none of its states is kept" in plan.refused[0]


def test_state_files_of_prefixes_are_not_deleted(history: History) -> None:
    history.put("host1/config", "host1/rwm/states/x")
    history.put("host1/rwm/states/x")
    history.capture(HOST1)
    history.capture(WHOLE)
    for place in (WHOLE, HOST1):
        assert not history.plan(place).versions
