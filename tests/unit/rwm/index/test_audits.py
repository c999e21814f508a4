"""Verdicts of audits, on states and on parts of them, and the last clean state by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.errors import StateNotFound, UsageError
from rwm.index import Index
from rwm.index.audits import verdict_below
from rwm.location import Location
from rwm.model import PartVerdict, StateInfo, Verdict
from tests.unit.states import BUCKET, put

WHOLE, HOST1, HOST2 = Location(BUCKET), Location(BUCKET, "host1/"), Location(BUCKET, "host2/")
FILES = {"host1/config": "v1", "host2/config": "v1"}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def part(prefix: str, verdict: Verdict, at: int = 9000) -> PartVerdict:
    return PartVerdict(prefix, verdict, at)


def verdicts(index: Index, location: Location | None = None) -> list[str | None]:
    return [state.verdict for state in index.recorded(location)]


@pytest.mark.parametrize(
    ("parts", "prefix", "expected"),
    [
        ([], "", None),
        ([part("", "clean")], "", part("", "clean")),
        ([part("", "clean")], "a/", part("a/", "clean")),
        ([part("", "suspect"), part("a/", "clean"), part("b/", "suspect")], "a/", part("a/", "clean")),
        ([part("", "suspect"), part("a/", "clean"), part("b/", "suspect")], "b/", part("b/", "suspect")),
        ([part("", "suspect"), part("a/b/", "review"), part("a/c/", "clean")], "a/", part("a/", "review")),
        # No repository is below it, so nothing is known.
        ([part("", "suspect"), part("a/", "suspect")], "b/", None),
        # Only a part was audited.
        ([part("a/", "clean")], "", None),
        # A newer audit of a part found more.
        ([part("", "clean", 1000), part("a/", "suspect", 2000)], "", part("", "suspect", 1000)),
        ([part("", "suspect", 1000), part("a/", "clean", 2000)], "a/", part("a/", "clean", 2000)),
    ],
)
def test_verdict_below_a_prefix(parts: list[PartVerdict], prefix: str, expected: PartVerdict | None) -> None:
    assert verdict_below(parts, prefix) == expected
    assert verdict_below(parts[::-1], prefix) == expected


def test_one_suspect_machine_leaves_the_others_clean(index: Index) -> None:
    old, new = put(index, 1, FILES), put(index, 2, {**FILES, "host1/config": "v2"})
    bad = [part("", "suspect"), part("host1/", "suspect"), part("host2/", "clean")]
    index.audits.record(WHOLE, {old.id: [part("", "clean")], new.id: bad})
    assert verdicts(index) == verdicts(index, WHOLE) == verdicts(index, HOST1) == ["clean", "suspect"]
    assert verdicts(index, HOST2) == ["clean", "clean"]
    assert [index.resolve("last-clean", where) for where in (WHOLE, HOST1, HOST2)] == [old, old, new]
    assert index.last_clean(HOST2).audited_at == 9000


def test_an_audit_replaces_the_verdicts_below_its_location(index: Index) -> None:
    info = put(index, 1, FILES)
    index.audits.record(WHOLE, {info.id: [part("", "suspect"), part("host1/", "suspect"), part("host2/", "clean")]})
    index.audits.record(HOST1, {info.id: [part("host1/", "clean")]})
    assert (verdicts(index, HOST1), verdicts(index, HOST2), verdicts(index)) == (["clean"], ["clean"], ["suspect"])
    index.audits.record(WHOLE, {info.id: [part("", "clean")]})
    assert verdicts(index) == verdicts(index, HOST1) == ["clean"]
    index.audits.record(WHOLE, {})
    assert verdicts(index) == [None]


def test_a_state_that_was_recorded_after_the_audit_is_not_chosen(index: Index) -> None:
    old = put(index, 1, FILES)
    index.audits.record(WHOLE, {old.id: [part("", "clean")]})
    new = put(index, 2, {**FILES, "host1/index/a": "v1"})
    assert index.resolve("last-clean", WHOLE) == old
    index.audits.record(WHOLE, {info.id: [part("", "clean")] for info in (old, new)})
    assert index.resolve("last-clean", WHOLE) == new


@pytest.mark.parametrize("trust", ["unchecked", "unknown", "contradicted"])
def test_only_what_the_history_confirms_is_last_clean(index: Index, trust: str) -> None:
    info = put(index, 1, FILES)
    index.audits.record(WHOLE, {info.id: [part("", "clean")]})
    index._connection.execute("UPDATE state SET trust = ?", (trust,))
    with pytest.raises(StateNotFound, match="no recorded state of bucket bucket1 is clean, as of the audit of 1970"):
        index.resolve("last-clean", WHOLE)


def test_an_empty_state_or_one_of_a_part_is_not_last_clean(index: Index) -> None:
    states: list[StateInfo] = [put(index, 1, {}), put(index, 2, {"host1/config": "v1"}, prefix="host1/")]
    index.audits.record(WHOLE, {info.id: [part(info.prefix, "clean")] for info in states})
    with pytest.raises(StateNotFound, match="no recorded state of bucket bucket1 is clean"):
        index.resolve("last-clean", WHOLE)
    assert index.resolve("last-clean", HOST1) == states[1]


def test_what_to_do_without_a_clean_state(index: Index) -> None:
    with pytest.raises(UsageError, match="needs a bucket"):
        index.resolve("last-clean")
    with pytest.raises(StateNotFound, match="no state of bucket bucket1 is recorded"):
        index.resolve("last-clean", WHOLE)
    info = put(index, 1, FILES)
    with pytest.raises(StateNotFound, match="was audited") as error:
        index.resolve("last-clean", HOST1)
    assert error.value.hint == "`rwm audit bucket1/host1` judges them"
    index.audits.record(WHOLE, {info.id: [part("", "suspect")]})
    with pytest.raises(StateNotFound, match="is clean") as error:
        index.resolve("last-clean", WHOLE)
    assert "rwm audit bucket1 --capture" in error.value.hint
