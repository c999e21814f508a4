"""Compare recorded states with the bucket's version history. Pure.

A state file in a bucket may be forged, with a correct id. The machine's account cannot change the history of a key. So
a state is verified only if each of its entries is the version that was current at the state's time.

An object version is current in a *range* of states. The claims of the states about a key and the history of the key are
two sequences of ranges. The cost of comparing them is their length, whatever the number of states. Only two kinds of
claims are checked state by state: keys created after the state's second, and states of the original tool.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from typing import Literal, NamedTuple

from rwm.layout import is_own_key
from rwm.model import MAX_LISTING, Entry, ObjectVersion, StateInfo
from rwm.states.clock_folds import Folds
from rwm.states.key_history import ALWAYS, KeyHistory
from rwm.times import SECOND, iso

Verdict = Literal["verified", "contradicted", "unknown"]
"""All entries agree with the history; some do not; or none contradicts it, but some versions are gone."""

MAX_CONTRADICTIONS = 100
"""Contradictions reported for one state; all are counted."""


class Contradiction(NamedTuple):
    """A claim of a state that the history contradicts."""

    key: str
    version_id: str
    why: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """The result for one state.

    ``verified`` and ``unknown`` count entries; ``contradicted`` counts entries, and keys that the state lacks.
    ``contradictions`` are the first of them. ``doubt`` says why the time of the state cannot be
    compared with the history, or is empty.
    """

    info: StateInfo
    verdict: Verdict
    verified: int
    contradicted: int
    unknown: int
    contradictions: tuple[Contradiction, ...]
    doubt: str = ""


class Comparison:
    """Compares the ``wanted`` ids among the states of one location with its history, one ``compare_key`` for each key.

    ``states`` come oldest first; ranges are positions in them. ``uploaded`` is when the file of a state was written, in
    milliseconds by state id, where that is known: nothing written later can be in the state. One second is added,
    because some servers know only whole seconds.

    A state is *undated* if its time and the history have different clocks: its file was written before its time, or
    the server's clock was set back over that time, as entries of a key show. The history then contradicts only what
    does not depend on the time of the state, and the verdict is unknown at best.
    """

    def __init__(self, states: Sequence[StateInfo], wanted: Iterable[str], uploaded: Mapping[str, int]) -> None:
        ids = set(wanted)
        self._states = states
        self._wanted = [number for number, info in enumerate(states) if info.id in ids]
        # What was written before the end of its second is in the state.
        self._ends = [info.captured_at + SECOND for info in states]
        self._listing_ends = [
            min(uploaded[info.id] + SECOND, info.captured_at + MAX_LISTING) if info.id in uploaded else ALWAYS
            for info in states
        ]
        self._lenient = [number for number in self._wanted if self._is_lenient(number)]
        self._verified = [0] * (len(states) + 1)
        self._wrong = [0] * (len(states) + 1)  # entries that differ from the version, whatever the time
        self._untimely = [0] * (len(states) + 1)  # entries that were not current at the time
        self._absent = [0] * (len(states) + 1)  # keys that the state lacks
        self._reported: list[list[tuple[Contradiction, bool]]] = [[] for _ in states]  # and whether it is about time
        self._uploaded = [uploaded.get(info.id) for info in states]
        self._folds = Folds()
        # Union-find: a state below its limit of contradictions points to itself, another one to a later state.
        self._next_open = [number if info.id in ids else number + 1 for number, info in enumerate(states)]
        self._next_open.append(len(states))

    def _is_lenient(self, number: int) -> bool:
        """Whether it is a state of the original tool, whose listing continued until its file was written."""
        return self._states[number].origin == "original" and self._listing_ends[number] != ALWAYS

    def _doubt(self, number: int) -> str:
        """Why the time of the state is not one of the server's clock, or ""."""
        info, uploaded = self._states[number], self._uploaded[number]
        if uploaded is not None and info.captured_at > uploaded + SECOND:
            return f"its time is {iso(info.captured_at)}, but its file was written at {iso(uploaded)}"
        return ""

    def compare_key(
        self, entries: Sequence[ObjectVersion], claims: Sequence[tuple[Entry, range]], known_until: int = ALWAYS
    ) -> None:
        """Compare one key: all its ``entries`` in the bucket, newest first, with what the states claim about it.

        Only the states before ``known_until``: as of then the order of the entries is not known.

        The ranges of ``claims`` do not overlap. Entries of keys that are never compared, because the bucket has none of
        their versions any more, are unknown.
        """
        if not entries or is_own_key(entries[0].key):
            return
        if len(entries) > 1:
            self._folds.add_history(entries)
        history = KeyHistory(entries)
        runs = self._runs(history)
        position, stop = 0, bisect_right(self._ends, known_until)
        for entry, claimed in sorted(claims, key=lambda claim: claim[1].start) if len(claims) > 1 else claims:
            numbers = range(claimed.start, min(claimed.stop, stop))
            if numbers:
                self._check_absence(history, _clip(runs, position, numbers.start))
                self._check_claim(history, entry, numbers, runs)
                position = numbers.stop
        self._check_absence(history, _clip(runs, position, stop))

    def results(self) -> list[ComparisonResult]:
        """The results for the wanted states, oldest first, once all keys of the bucket were compared."""
        verified, wrong, untimely, absent = (
            list(accumulate(counts)) for counts in (self._verified, self._wrong, self._untimely, self._absent)
        )
        found = []
        for n in self._wanted:
            doubt = self._doubt(n)
            is_dated = not doubt and self._states[n].captured_at not in self._folds
            contradicted = wrong[n] + (untimely[n] if is_dated else 0)
            reported = tuple(fault for fault, is_timed in self._reported[n] if is_dated or not is_timed)
            if not (doubt or is_dated) and untimely[n] + absent[n]:
                doubt = "the server's clock was set back around its time"
            counts = verified[n], contradicted, absent[n] if is_dated else 0
            found.append(_result(self._states[n], *counts, reported, doubt))
        return found

    # --- one key -------------------------------------------------------------------------------------

    def _runs(self, history: KeyHistory) -> list[_Run]:
        """What was current in which states: consecutive runs from the first state to the last."""
        runs: list[_Run] = []
        stop = len(self._states)
        for span in history.spans:
            start = bisect_right(self._ends, span.after, 0, stop)
            if start < stop:
                runs.append(_Run(start, stop, span.version))
                stop = start
        if stop:
            runs.append(_Run(0, stop, None))
        runs.reverse()
        return runs

    def _check_claim(self, history: KeyHistory, entry: Entry, numbers: range, runs: list[_Run]) -> None:
        """The states claim that the version of ``entry`` was current."""
        version = history.by_id.get(entry.version_id)
        if version is None:
            return  # unknown: deleted since, or it never existed
        if why := _describe_mismatch(version, entry):
            if entry.version_id == "null":
                return  # unknown: overwritten in place
            fault = Contradiction(entry.key, entry.version_id, why)
            self._contradict(self._wrong, numbers.start, numbers.stop, fault)
            return
        for start, stop, current in _clip(runs, numbers.start, numbers.stop):
            if current is version:
                _add(self._verified, start, stop)
            elif current is None:
                self._check_created_during_capture(history, version, start, stop)
            else:
                self._check_not_current(history, version, start, stop, current)

    def _check_created_during_capture(self, history: KeyHistory, version: ObjectVersion, start: int, stop: int) -> None:
        """The states claim a version of a key that did not exist by the end of their second."""
        for number in _in_range(self._wanted, start, stop):
            uploaded = self._uploaded[number]
            if uploaded is not None and version.last_modified > uploaded + SECOND:
                # Nobody knows the id of a version before it is written.
                self._folds.add(min(uploaded, self._states[number].captured_at), version.last_modified)
            if why := self._why_not_captured(history, version, number):
                fault = Contradiction(version.key, version.version_id, why)
                self._contradict(self._untimely, number, number + 1, fault)
            else:
                _add(self._verified, number, number + 1)

    def _why_not_captured(self, history: KeyHistory, version: ObjectVersion, number: int) -> str:
        """Why a capture cannot have the version, or "": it takes keys created meanwhile at their oldest version."""
        if self._states[number].origin == "past":
            return "the bucket's history says it was written later"
        if version.last_modified > self._listing_ends[number]:
            return "the bucket's history says it was written after the file of the state"
        if version is history.oldest or self._may_have_seen(history, version, number):
            return ""
        return f"the bucket's history says the key began with version {history.oldest.version_id}"

    def _check_not_current(
        self, history: KeyHistory, version: ObjectVersion, start: int, stop: int, current: ObjectVersion
    ) -> None:
        """The states claim a version while another one, or a delete marker, was current."""
        what = "the key was deleted by then" if current.is_marker else f"version {current.version_id} was current"
        fault = Contradiction(version.key, version.version_id, f"the bucket's history says {what}")
        for number in _in_range(self._lenient, start, stop):
            if self._may_have_seen(history, version, number):
                self._contradict(self._untimely, start, number, fault)
                _add(self._verified, number, number + 1)
                start = number + 1
        self._contradict(self._untimely, start, stop, fault)

    def _check_absence(self, history: KeyHistory, runs: Iterable[_Run]) -> None:
        """The states have no entry of the key."""
        for start, stop, current in runs:
            if current is None or current.is_marker:
                continue
            fault = Contradiction(current.key, current.version_id, "the state lacks a key that was there")
            for number in _in_range(self._lenient, start, stop):
                if history.was_deleted(self._ends[number], self._listing_ends[number]):
                    self._contradict(self._absent, start, number, fault)
                    start = number + 1
            self._contradict(self._absent, start, stop, fault)

    def _may_have_seen(self, history: KeyHistory, version: ObjectVersion, number: int) -> bool:
        """Whether a lenient state's listing was running while the version was current."""
        return self._is_lenient(number) and history.was_current(version, self._ends[number], self._listing_ends[number])

    # --- contradictions ------------------------------------------------------------------------------

    def _contradict(self, counts: list[int], start: int, stop: int, fault: Contradiction) -> None:
        """Count the fault in all states of the range, and report it for those below their limit."""
        if start >= stop:
            return
        _add(counts, start, stop)
        is_timed = counts is not self._wrong
        number = self._find_open(start)
        while number < stop:
            self._reported[number].append((fault, is_timed))
            if len(self._reported[number]) == MAX_CONTRADICTIONS:
                self._next_open[number] = number + 1
            number = self._find_open(number + 1)

    def _find_open(self, number: int) -> int:
        """The first state from ``number`` on that is below its limit. Halves the path for later calls."""
        following = self._next_open
        while following[number] != number:
            following[number] = following[following[number]]
            number = following[number]
        return number


class _Run(NamedTuple):
    """Consecutive states in which the same was current: a version, a delete marker, or None before all entries."""

    start: int
    stop: int
    current: ObjectVersion | None


def _clip(runs: list[_Run], start: int, stop: int) -> Iterator[_Run]:
    """The runs between two states, cut to that range."""
    if start >= stop:
        return
    number = bisect_right(runs, start, key=itemgetter(0)) - 1
    while start < stop:
        run = runs[number]
        end = min(run.stop, stop)
        yield _Run(start, end, run.current)
        start, number = end, number + 1


def _in_range(numbers: list[int], start: int, stop: int) -> list[int]:
    """The members of sorted ``numbers`` from ``start`` to before ``stop``."""
    return numbers[bisect_left(numbers, start) : bisect_left(numbers, stop)]


def _describe_mismatch(version: ObjectVersion, entry: Entry) -> str:
    """How the bucket's version differs from the entry, or ""."""
    if version.is_marker:
        return "in the bucket it is a delete marker"
    if version.size != entry.size:
        return f"the bucket's version has another size ({version.size}, not {entry.size})"
    if version.etag != entry.etag:
        return "the bucket's version has another etag"
    if version.last_modified != entry.last_modified:
        return f"the bucket's version has another time ({iso(version.last_modified)}, not {iso(entry.last_modified)})"
    return ""


def _result(
    info: StateInfo,
    verified: int,
    contradicted: int,
    absent: int,
    reported: tuple[Contradiction, ...],
    doubt: str,
) -> ComparisonResult:
    unknown = max(0, info.objects - verified - contradicted)
    is_known = not (unknown or doubt)
    verdict: Verdict = "contradicted" if contradicted or absent else "verified" if is_known else "unknown"
    return ComparisonResult(info, verdict, verified, contradicted + absent, unknown, reported, doubt)


def _add(differences: list[int], start: int, stop: int) -> None:
    differences[start] += 1
    differences[stop] -= 1
