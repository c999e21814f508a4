"""Comparison of states with history, checked with a model that decides each key of each state by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Entry, ObjectVersion, Origin, StateInfo
from rwm.states.clock_folds import Folds
from rwm.states.comparison import MAX_CONTRADICTIONS, Comparison, ComparisonResult, Contradiction
from rwm.states.current import as_entry, current_at
from rwm.times import SECOND

T = 1_700_000_000_000
History = Sequence[ObjectVersion]
Claims = list[tuple[Entry, range]]


def version(name: str, time: int, *, marker: bool = False, key: str = "key") -> ObjectVersion:
    size, etag = (0, "") if marker else (len(name), "e")
    return ObjectVersion(key, name, False, marker, size, etag, time)


def state(number: int, second: int, origin: Origin = "capture", objects: int = 0) -> StateInfo:
    return StateInfo(f"{number:064x}", "bucket1", second, origin, objects, 0)


def compare(
    info: StateInfo, keys: list[tuple[History, Claims]], uploaded: int | None = None, before: int = 0
) -> ComparisonResult:
    """Compare one state, after ``before`` others that are not wanted."""
    others = [state(n, 0) for n in range(before)]
    comparison = Comparison([*others, replace(info, id="a" * 64)], ["a" * 64], {"a" * 64: uploaded} if uploaded else {})
    for history, claims in keys:
        comparison.compare_key(history, claims)
    (result,) = comparison.results()
    return result


def claim(version: ObjectVersion, numbers: range = range(1)) -> Claims:
    return [(as_entry(version), numbers)]


# --- single rules ---------------------------------------------------------------------------

OLD, NEW, MARKER = version("old", T), version("new", T + 5000), version("m", T + 5000, marker=True)


def verdict_of(
    history: History,
    claims: Claims,
    second: int = T,
    origin: Origin = "capture",
    uploaded: int | None = None,
) -> tuple[str, str]:
    """Verdict and first contradiction."""
    result = compare(state(0, second, origin, len(claims)), [(history, claims)], uploaded)
    return result.verdict, result.contradictions[0].why if result.contradictions else ""


def test_a_current_version_is_verified() -> None:
    assert verdict_of([NEW, OLD], claim(OLD)) == ("verified", "")
    assert verdict_of([NEW, OLD], claim(NEW), T + 5000) == ("verified", "")
    assert verdict_of([MARKER, OLD], claim(OLD), T + 4000) == ("verified", "")
    assert verdict_of([MARKER, OLD], [], T + 5000) == ("verified", "")
    assert verdict_of([NEW], [], T + 4000) == ("verified", "")


def test_a_deleted_version_is_unknown() -> None:
    assert verdict_of([NEW], claim(OLD)) == ("unknown", "")
    assert verdict_of([], claim(OLD)) == ("unknown", "")


def test_nothing_is_known_from_when_the_order_of_the_entries_is_not() -> None:
    """A ``null`` version that is listed last was written at T + 5000."""
    history = [OLD, version("null", T + 5000)]
    states = [state(n, T + second * SECOND, objects=1) for n, second in enumerate((0, 4, 5, 9))]
    comparison = Comparison(states, [info.id for info in states], {})
    comparison.compare_key(history, claim(OLD, range(3)), T + 5000)
    assert [one.verdict for one in comparison.results()] == ["verified", "verified", "unknown", "unknown"]
    comparison = Comparison(states, [info.id for info in states], {})
    comparison.compare_key(history, [], T + 5000)
    assert [one.contradicted for one in comparison.results()] == [1, 1, 0, 0]


def test_a_version_overwritten_in_place_is_unknown() -> None:
    null, other = version("null", T), version("null", T + 5000)
    assert verdict_of([other], claim(null)) == ("unknown", "")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"size": 4}, "the bucket's version has another size (3, not 4)"),
        ({"etag": "f"}, "the bucket's version has another etag"),
        (
            {"last_modified": T + 1},
            "the bucket's version has another time (2023-11-14T22:13:20Z, not 2023-11-14T22:13:20.001Z)",
        ),
    ],
)
def test_other_properties_contradict(changed: dict[str, int | str], why: str) -> None:
    entry = as_entry(OLD)._replace(**changed)  # type: ignore[arg-type]
    assert verdict_of([NEW, OLD], [(entry, range(1))]) == ("contradicted", why)


def test_a_delete_marker_contradicts() -> None:
    assert verdict_of([MARKER, OLD], claim(MARKER)) == ("contradicted", "in the bucket it is a delete marker")


def test_a_version_that_was_not_current_contradicts() -> None:
    prefix = "the bucket's history says "
    assert verdict_of([NEW, OLD], claim(OLD), T + 5000) == ("contradicted", prefix + "version new was current")
    assert verdict_of([NEW, OLD], claim(NEW), T + 4000) == ("contradicted", prefix + "version old was current")
    assert verdict_of([MARKER, OLD], claim(OLD), T + 5000) == ("contradicted", prefix + "the key was deleted by then")


def test_a_missing_key_contradicts() -> None:
    result = compare(state(0, T + 5000), [([NEW, OLD], [])])
    assert (result.verdict, result.verified, result.contradicted, result.unknown) == ("contradicted", 0, 1, 0)
    assert result.contradictions == (Contradiction("key", "new", "the state lacks a key that was there"),)


def test_a_key_created_during_a_capture_is_verified_at_its_oldest_version() -> None:
    early = T - 5000
    prefix = "the bucket's history says "
    for origin in ("capture", "backup", "original"):
        assert verdict_of([NEW, OLD], claim(OLD), early, origin) == ("verified", "")
        assert verdict_of([NEW, OLD], claim(OLD), early, origin, T + 1) == ("verified", "")
        assert verdict_of([NEW, OLD], claim(OLD), early, origin, T - 1000) == ("verified", "")
        # Nobody knows a version id in advance: it is a sign of two clocks.
        assert verdict_of([NEW, OLD], claim(OLD), early, origin, T - 1001) == ("unknown", "")
        not_oldest = prefix + "the key began with version old"
        assert verdict_of([NEW, OLD], claim(NEW), early, origin) == ("contradicted", not_oldest)
    assert verdict_of([OLD], claim(OLD), early, "past") == ("contradicted", prefix + "it was written later")


def test_a_state_of_the_original_tool_may_have_versions_current_until_its_file_was_written() -> None:
    history = [MARKER, version("mid", T + 2000), OLD]
    assert verdict_of(history, claim(history[1]), T, "original", T + 3000) == ("verified", "")
    assert verdict_of(history, claim(history[1]), T, "original", T + 1000) == ("verified", "")
    assert verdict_of(history, claim(history[1]), T, "original", T + 999)[0] == "contradicted"
    assert verdict_of(history, claim(history[1]), T, "original")[0] == "contradicted"
    assert verdict_of(history, claim(history[1]), T, "capture", T + 3000)[0] == "contradicted"
    assert verdict_of(history, claim(OLD), T + 2000, "original", T + 9000)[0] == "contradicted"
    assert verdict_of(history, [], T, "original", T + 4000) == ("verified", "")
    assert verdict_of(history, [], T, "original", T + 3999)[0] == "contradicted"
    assert verdict_of(history, [], T, "original")[0] == "contradicted"
    assert verdict_of(history, [], T, "capture", T + 4000)[0] == "contradicted"


def test_a_state_with_a_time_after_its_file_is_unknown() -> None:
    why = "its time is 2023-11-14T22:13:20Z, but its file was written at 2023-11-14T22:13:18Z"
    result = compare(state(0, T, objects=1), [([OLD], claim(OLD))], T - 2000)
    assert (result.verdict, result.verified, result.contradicted, result.unknown) == ("unknown", 1, 0, 0)
    assert (result.contradictions, result.doubt) == ((), why)
    assert verdict_of([OLD], claim(OLD), uploaded=T - 1000) == ("verified", "")


def test_a_time_after_the_file_does_not_excuse_another_content() -> None:
    other = [(Entry(*claim(OLD)[0][0])._replace(size=77), range(1))]
    assert compare(state(0, T, objects=1), [([OLD], other)], T - 2000).verdict == "contradicted"


def test_a_clock_that_was_set_back_contradicts_no_state() -> None:
    hour = 3_600_000
    before, after = version("a", T - 1000), version("b", T - hour + 2000)
    # Captured before the clock was set back: what was written since seems older.
    written_since = [version("c", T - hour + 9000, key="new")]
    histories: list[tuple[History, Claims]] = [
        ([after, before], claim(before)),
        (written_since, []),
    ]
    result = compare(state(0, T, objects=1), histories, T)
    assert (result.verdict, result.contradicted) == ("unknown", 0)
    assert result.doubt == "the server's clock was set back around its time"
    # Captured afterwards: what was written before seems newer than the file.
    early = T - hour + 5000
    result = compare(state(0, early, objects=1), [([before], claim(before))], early + 1000)
    assert (result.verdict, result.contradicted) == ("unknown", 0)
    # It excuses no state of another time.
    result = compare(state(0, T + 5 * hour, objects=1), histories, T + 5 * hour)
    assert result.verdict == "contradicted"


def test_own_objects_are_ignored() -> None:
    assert verdict_of([version("v", T, key="rwm/x")], []) == ("verified", "")


def test_keys_that_are_not_compared_are_unknown() -> None:
    result = compare(state(0, T, objects=3), [([OLD], claim(OLD))])
    assert (result.verdict, result.verified, result.contradicted, result.unknown) == ("unknown", 1, 0, 2)


def test_contradicted_outweighs_unknown() -> None:
    assert compare(state(0, T, objects=3), [([OLD], claim(NEW)), ([OLD], [])]).verdict == "contradicted"


def test_an_empty_state_of_an_empty_bucket_is_verified() -> None:
    assert compare(state(0, T), []).verdict == "verified"


def test_contradictions_are_reported_up_to_a_limit_and_all_counted() -> None:
    keys = [f"k{n:03d}" for n in range(2 * MAX_CONTRADICTIONS)]
    states = [state(n, T + n * SECOND) for n in range(4)]
    comparison = Comparison(states, [states[0].id, states[2].id, states[3].id], {})
    for n, key in enumerate(keys):
        history = [version("v", T, key=key)]
        comparison.compare_key(history, claim(history[0], range(2, 3)) if n % 2 else [])
    by_state = {result.info.captured_at: result for result in comparison.results()}
    assert list(by_state) == [T, T + 2000, T + 3000]
    first, third = by_state[T], by_state[T + 2000]
    assert [each.key for each in first.contradictions] == keys[:MAX_CONTRADICTIONS]
    assert [each.key for each in third.contradictions] == keys[::2]
    assert (first.contradicted, third.contradicted, third.verified) == (2 * MAX_CONTRADICTIONS, MAX_CONTRADICTIONS, 100)
    assert by_state[T + 3000].contradictions == first.contradictions


# --- against a model ---------------------------------------------------------------------------------


def was_current(history: History, wanted: ObjectVersion | None, first: int, latest: int) -> bool:
    """Whether the version, or with None a delete marker, was current at any of these milliseconds."""
    for now in range(first, latest + 1):
        current = next((each for each in history if each.last_modified <= now), None)
        if current is not None and (current.is_marker if wanted is None else current is wanted):
            return True
    return False


def model(info: StateInfo, history: History, entry: Entry | None, uploaded: int | None) -> str:
    """The rules, for one key of one state: ``wrong`` is a contradiction that does not depend on time."""
    end = info.captured_at + SECOND
    latest = None if uploaded is None else uploaded + SECOND
    is_lenient = info.origin == "original" and latest is not None
    current = current_at(history, info.captured_at, born_later=False)
    if entry is None:
        deleted = is_lenient and was_current(history, None, end - 1, latest or 0)
        return "contradicted" if current is not None and not deleted else ""
    present = [each for each in history if each.version_id == entry.version_id]
    if not present:
        return "unknown"
    if present[0].is_marker or as_entry(present[0]) != entry:
        return "wrong"
    if current == entry:
        return "verified"
    if is_lenient and was_current(history, present[0], end - 1, latest or 0):
        return "verified"
    if info.origin == "past" or any(each.last_modified < end for each in history):
        return "contradicted"
    first = [each for each in history if not each.is_marker][-1]
    in_time = latest is None or first.last_modified <= latest
    return "verified" if first is present[0] and in_time else "contradicted"


def folds_of(
    states: Sequence[StateInfo],
    uploaded: dict[str, int],
    keys: list[tuple[History, list[Entry | None]]],
    wanted: set[int],
) -> Folds:
    """What shows that the clock was set back."""
    folds = Folds()
    for history, entries in keys:
        folds.add_history(history)
        for n in wanted & {*range(len(states))}:
            info, entry = states[n], entries[n]
            written = uploaded.get(info.id)
            if entry is None or written is None or entry not in [as_entry(each) for each in history]:
                continue
            born_later = all(each.last_modified >= info.captured_at + SECOND for each in history)
            if born_later and entry.last_modified > written + SECOND:
                folds.add(min(written, info.captured_at), entry.last_modified)
    return folds


small_times = st.integers(0, 40).map(lambda tenth: tenth * 100)
histories = st.lists(st.tuples(small_times, st.booleans()), max_size=5).map(
    lambda events: [version(f"v{n}", time, marker=deleted) for n, (time, deleted) in enumerate(events)][::-1]
)
origins = st.sampled_from(get_args(Origin))
seconds = st.lists(st.integers(0, 4).map(lambda second: second * SECOND), min_size=1, max_size=5).map(sorted)
altered = st.sampled_from(
    [{}, {}, {}, {}, {"size": 7}, {"etag": "x"}, {"last_modified": 77}, {"version_id": "deleted"}]
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[StateInfo], dict[str, int], list[tuple[History, list[Entry | None]]]]:
    """States, upload times of their files, and for each key its history and the entry in each state."""
    states = [state(n, second, draw(origins)) for n, second in enumerate(draw(seconds))]
    uploads = {info.id: draw(st.none() | small_times) for info in states}
    keys: list[tuple[History, list[Entry | None]]] = []
    for _ in range(draw(st.integers(1, 2))):
        history = draw(histories)
        entries: list[Entry | None] = []
        for info in states:
            right = current_at(history, info.captured_at, born_later=info.origin != "past")
            any_of_them = st.sampled_from([as_entry(each) for each in history]) if history else st.none()
            entry = draw(st.just(right) | st.just(right) | st.none() | any_of_them)
            entries.append(entry and entry._replace(**draw(altered)))  # type: ignore[arg-type]
        keys.append((history, entries))
    return states, {key: time for key, time in uploads.items() if time is not None}, keys


def ranges(entries: list[Entry | None]) -> Claims:
    """The claims of the states about a key, as the index returns them: each entry with a range of states."""
    claims: Claims = []
    for n, entry in enumerate(entries):
        if entry is None:
            continue
        if claims and claims[-1][0] == entry and claims[-1][1].stop == n:
            claims[-1] = (entry, range(claims[-1][1].start, n + 1))
        else:
            claims.append((entry, range(n, n + 1)))
    return claims


@given(case=cases(), wanted=st.sets(st.integers(0, 4)), backwards=st.booleans())
def test_verdicts_equal_those_of_the_model(
    case: tuple[list[StateInfo], dict[str, int], list[tuple[History, list[Entry | None]]]],
    wanted: set[int],
    backwards: bool,
) -> None:
    states, uploaded, keys = case
    states = [replace(info, objects=sum(es[n] is not None for _, es in keys)) for n, info in enumerate(states)]
    comparison = Comparison(states, [states[n].id for n in wanted if n < len(states)], uploaded)
    for history, entries in keys:
        comparison.compare_key(history, ranges(entries)[:: -1 if backwards else 1])
    results = comparison.results()
    folds = folds_of(states, uploaded, keys, wanted)
    assert [each.info for each in results] == [info for n, info in enumerate(states) if n in wanted]
    for each in results:
        n = states.index(each.info)
        upload = uploaded.get(each.info.id)
        found = [model(each.info, history, entries[n], upload) for history, entries in keys]
        late = upload is not None and each.info.captured_at > upload + SECOND
        is_dated = not late and each.info.captured_at not in folds
        claimed = [entries[n] is not None for _, entries in keys]
        untimely = found.count("contradicted")
        contradicted = found.count("wrong") + (untimely if is_dated else 0)
        unknown = found.count("unknown")
        if not is_dated:
            unknown += sum(one == "contradicted" and has for one, has in zip(found, claimed, strict=True))
        is_doubtful = late or (not is_dated and untimely > 0)
        expected = "contradicted" if contradicted else "unknown" if unknown or is_doubtful else "verified"
        assert each.verdict == expected
        assert (each.verified, each.contradicted, each.unknown) == (found.count("verified"), contradicted, unknown)
        assert len(each.contradictions) == contradicted
        assert bool(each.doubt) == is_doubtful


# --- invariants --------------------------------------------------------------------------


def prune_history(history: History, needed: set[str], chosen: set[int]) -> History:
    """The history after a prune of some unneeded versions, and of markers with no version left below."""
    kept = [each for n, each in enumerate(history) if each.is_marker or each.version_id in needed or n not in chosen]
    return [
        each
        for n, each in enumerate(kept)
        if not (each.is_marker and n in chosen and all(older.is_marker for older in kept[n + 1 :]))
    ]


@given(
    history=st.lists(st.tuples(small_times, st.booleans()), min_size=1, max_size=6),
    listed=st.lists(st.tuples(seconds.map(lambda few: few[0]), origins, st.integers(0, 3000)), min_size=1, max_size=4),
    kept=st.booleans(),
    chosen=st.sets(st.integers(0, 6)),
)
def test_a_captured_state_is_never_contradicted(
    history: list[tuple[int, bool]], listed: list[tuple[int, Origin, int]], kept: bool, chosen: set[int]
) -> None:
    """Each state is captured at a past second from the history until then; the bucket is pruned later."""
    complete = [version(f"v{n}", time, marker=deleted) for n, (time, deleted) in enumerate(sorted(history))][::-1]
    states, entries, uploaded = [], [], {}
    for n, (second, origin, took) in enumerate(sorted(listed, key=lambda each: each[0])):
        then = second + SECOND + took
        seen = [each for each in complete if each.last_modified < then]
        entry = current_at(seen, second, born_later=origin != "past")
        states.append(state(n, second, origin, int(entry is not None)))
        entries.append(entry)
        uploaded[states[-1].id] = then
    needed = {entry.version_id for entry in entries if entry} if kept else set()
    comparison = Comparison(states, [info.id for info in states], uploaded)
    comparison.compare_key(prune_history(complete, needed, chosen), ranges(list(entries)))
    verdicts = {result.verdict for result in comparison.results()}
    assert verdicts <= ({"verified"} if kept else {"verified", "unknown"})


@given(
    history=histories.filter(bool),
    second=st.integers(0, 4),
    origin=st.sampled_from(["capture", "backup", "past"]),
    field=st.sampled_from(
        [{"version_id": "w"}, {"version_id": None}, {"size": 7}, {"etag": "x"}, {"last_modified": 77}]
    ),
    data=st.data(),
)
def test_an_altered_claim_is_never_verified(
    history: History, second: int, origin: Origin, field: dict[str, str | int | None], data: st.DataObject
) -> None:
    entry = current_at(history, second * SECOND, born_later=origin != "past")
    if entry is None:
        return
    if field.get("version_id", "") is None:  # another version of the same key
        field = {"version_id": data.draw(st.sampled_from([each.version_id for each in history]))}
        if field["version_id"] == entry.version_id:
            return
    changed = entry._replace(**field)  # type: ignore[arg-type]
    assert verdict_of(history, [(entry, range(1))], second * SECOND, origin)[0] == "verified"
    assert verdict_of(history, [(changed, range(1))], second * SECOND, origin)[0] != "verified"


@given(history=histories.filter(bool), second=st.integers(0, 4), origin=origins)
def test_a_missing_entry_is_never_verified(history: History, second: int, origin: Origin) -> None:
    if current_at(history, second * SECOND, born_later=False):
        assert verdict_of(history, [], second * SECOND, origin)[0] != "verified"
