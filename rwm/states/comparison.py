"""Recorded states against the bucket's own version history: which of them are as the bucket says it was. Pure.

A state file in a bucket may be forged, and whoever forges it can compute its id too. What the machine's account cannot
do is change the history of a key: so a state counts only where each of its entries is what was current then.

An object version is current in a *range* of states. What the states say of a key and what its history says are two
rows of ranges, and comparing them costs their lengths, however many states there are. Only two kinds of claims are
judged state by state: a key that was born after the state's second, and states of the original tool.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Literal, NamedTuple

from rwm.model import OWN_PREFIX, Entry, ObjectVersion, StateInfo
from rwm.times import DAY, SECOND, iso

Verdict = Literal["verified", "contradicted", "unknown"]
"""All entries are as the history says; something is not; or nothing is, but versions are gone that would tell."""

CONTRADICTIONS = 100
"""So many contradictions are told of one state; all are counted."""

LISTING_MAX = DAY // 4
"""Milliseconds that a listing may go on after the second of its state. Who forges a state may date it long ago."""

_ALWAYS = 1 << 63  # after all times


class Contradiction(NamedTuple):
    """What a state says and the bucket does not. Key and version id are empty where it is the state as a whole."""

    key: str
    version_id: str
    why: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """What came out for one state.

    ``verified`` and ``unknown`` count entries; ``contradicted`` counts entries, keys that the state should have and
    lacks, and faults of the state as a whole. ``contradictions`` are the first of them.
    """

    info: StateInfo
    verdict: Verdict
    verified: int
    contradicted: int
    unknown: int
    contradictions: tuple[Contradiction, ...]


class Comparison:
    """Of the states of one bucket, ``wanted`` ids among them, with the histories of its keys, one ``look`` for each.

    ``states`` are oldest first; ranges of numbers are places in it. ``uploaded`` says in milliseconds when the file of
    a state was written to the bucket, where that is known: nothing written later can be in the state. One second of
    slack is given, because some servers know only whole seconds.
    """

    def __init__(self, states: Sequence[StateInfo], wanted: Iterable[str], uploaded: Mapping[str, int]) -> None:
        ids = set(wanted)
        self._states = states
        self._wanted = [number for number, info in enumerate(states) if info.id in ids]
        # The second of a state counts as a whole: what was written before its end is in.
        self._ends = [info.captured_at + SECOND for info in states]
        self._latest = [
            min(uploaded[info.id] + SECOND, info.captured_at + LISTING_MAX) if info.id in uploaded else _ALWAYS
            for info in states
        ]
        self._lenient = [n for n in self._wanted if states[n].origin == "original" and self._latest[n] != _ALWAYS]
        self._verified = [0] * (len(states) + 1)
        self._contradicted = [0] * (len(states) + 1)
        self._besides = [0] * (len(states) + 1)  # contradictions that are no entry of the state
        self._told: list[list[Contradiction]] = [[] for _ in states]
        # The state itself where more can be told of it, or one after it that may have room.
        self._room = [number if info.id in ids else number + 1 for number, info in enumerate(states)] + [len(states)]
        for number in self._wanted:
            self._state_itself(number)

    def _state_itself(self, number: int) -> None:
        info, latest = self._states[number], self._latest[number]
        if info.captured_at > latest:
            why = f"it is of {iso(info.captured_at)}, and its file was there at {iso(latest - SECOND)}"
            self._contradict(self._besides, number, number + 1, Contradiction("", "", why))

    def compare_key(self, history: Sequence[ObjectVersion], claims: Sequence[tuple[Entry, range]]) -> None:
        """Compare one key: all its entries in the bucket, newest first, and what the states have under it.

        The ranges of ``claims`` do not overlap. Entries of keys that are never looked at, because the bucket has
        nothing of them any more, are unknown.
        """
        if not history or history[0].key.startswith(OWN_PREFIX):
            return
        past = _Past(history)
        runs = self._runs(past)
        position = 0
        for entry, numbers in sorted(claims, key=lambda claim: claim[1].start) if len(claims) > 1 else claims:
            if numbers:
                self._absent(past, _within(runs, position, numbers.start))
                self._claimed(past, entry, numbers, runs)
                position = numbers.stop
        self._absent(past, _within(runs, position, len(self._states)))

    def results(self) -> list[ComparisonResult]:
        """The wanted states, oldest first; to be asked when all keys of the bucket were looked at."""
        verified, contradicted, besides = (
            list(accumulate(counts)) for counts in (self._verified, self._contradicted, self._besides)
        )
        return [_result(self._states[n], verified[n], contradicted[n], besides[n], self._told[n]) for n in self._wanted]

    # --- one key -------------------------------------------------------------------------------------

    def _runs(self, past: _Past) -> list[_Run]:
        """What was current in which states, as rows that follow each other from the first state to the last."""
        runs: list[_Run] = []
        stop = len(self._states)
        for span in past.spans:
            start = bisect_right(self._ends, span.after, 0, stop)
            if start < stop:
                runs.append(_Run(start, stop, span.version))
                stop = start
        if stop:
            runs.append(_Run(0, stop, None))
        runs.reverse()
        return runs

    def _claimed(self, past: _Past, entry: Entry, numbers: range, runs: list[_Run]) -> None:
        """States say that the version of ``entry`` was current."""
        version = past.by_id.get(entry.version_id)
        if version is None:
            return  # gone since, or never there: nobody can tell
        if why := _difference(version, entry):
            if entry.version_id == "null":
                return  # overwritten in place: what it was nobody can tell
            fault = Contradiction(entry.key, entry.version_id, why)
            self._contradict(self._contradicted, numbers.start, numbers.stop, fault)
            return
        for start, stop, current in _within(runs, numbers.start, numbers.stop):
            if current is version:
                _add(self._verified, start, stop)
            elif current is None:
                self._born_later(past, version, start, stop)
            else:
                self._not_current(past, version, start, stop, current)

    def _born_later(self, past: _Past, version: ObjectVersion, start: int, stop: int) -> None:
        """States have a version of a key of which nothing was there by the end of their second."""
        for number in _among(self._wanted, start, stop):
            if why := self._why_not_born_later(past, version, number):
                fault = Contradiction(version.key, version.version_id, why)
                self._contradict(self._contradicted, number, number + 1, fault)
            else:
                _add(self._verified, number, number + 1)

    def _why_not_born_later(self, past: _Past, version: ObjectVersion, number: int) -> str:
        """A capture takes a key that is born while it runs, at its oldest version. What speaks against that, or ""."""
        if self._states[number].origin == "past":
            return "the bucket's history says it was written later"
        if version.last_modified > self._latest[number]:
            return "the bucket's history says it was written after the file of the state"
        if version is past.oldest or self._in_time(past, version, number):
            return ""
        return f"the bucket's history says the key began with version {past.oldest.version_id}"

    def _not_current(self, past: _Past, version: ObjectVersion, start: int, stop: int, current: ObjectVersion) -> None:
        """States have a version while another one, or a delete marker, was current."""
        what = "the key was deleted by then" if current.is_marker else f"version {current.version_id} was current"
        fault = Contradiction(version.key, version.version_id, f"the bucket's history says {what}")
        for number in _among(self._lenient, start, stop):
            if self._in_time(past, version, number):
                self._contradict(self._contradicted, start, number, fault)
                _add(self._verified, number, number + 1)
                start = number + 1
        self._contradict(self._contradicted, start, stop, fault)

    def _absent(self, past: _Past, runs: Iterable[_Run]) -> None:
        """States have nothing under the key."""
        for start, stop, current in runs:
            if current is None or current.is_marker:
                continue
            fault = Contradiction(current.key, current.version_id, "the state lacks a key that was there")
            for number in _among(self._lenient, start, stop):
                if past.was_deleted(self._ends[number], self._latest[number]):
                    self._contradict(self._besides, start, number, fault)
                    start = number + 1
            self._contradict(self._besides, start, stop, fault)

    def _in_time(self, past: _Past, version: ObjectVersion, number: int) -> bool:
        """Whether a state of the original tool, whose listing went on until its file was written, can have seen it."""
        lenient = self._states[number].origin == "original" and self._latest[number] != _ALWAYS
        return lenient and past.was_current(version, self._ends[number], self._latest[number])

    # --- contradictions ------------------------------------------------------------------------------

    def _contradict(self, counts: list[int], start: int, stop: int, fault: Contradiction) -> None:
        """Count it in all the states from ``start`` to ``stop``, and tell it in those that have room for it."""
        if start >= stop:
            return
        _add(counts, start, stop)
        number = self._with_room(start)
        while number < stop:
            self._told[number].append(fault)
            if len(self._told[number]) == CONTRADICTIONS:
                self._room[number] = number + 1
            number = self._with_room(number + 1)

    def _with_room(self, number: int) -> int:
        """The first state from there on that has room: full ones are skipped at once, however many there are."""
        room = self._room
        while room[number] != number:
            room[number] = room[room[number]]
            number = room[number]
        return number


class _Run(NamedTuple):
    """States one after the other in which the same was current: a version, a marker, or None before all of them."""

    start: int
    stop: int
    current: ObjectVersion | None


class _Span(NamedTuple):
    """Who asks for what was written before a time finds ``version`` if ``after < time <= until``."""

    after: int
    until: int
    version: ObjectVersion


class _Past:
    """The history of one key. The order of the listing decides: times may run backwards (``rwm.states.current``)."""

    def __init__(self, history: Sequence[ObjectVersion]) -> None:
        self._history = history
        self.by_id = {version.version_id: version for version in history}
        self.spans: list[_Span] = []  # newest first
        until = _ALWAYS
        for version in history:
            if version.last_modified < until:
                self.spans.append(_Span(version.last_modified, until, version))
                until = version.last_modified

    @cached_property
    def oldest(self) -> ObjectVersion:
        """The first version of the key; asked for only where there is one."""
        return next(version for version in reversed(self._history) if not version.is_marker)

    @cached_property
    def _span_of(self) -> dict[str, _Span]:
        return {span.version.version_id: span for span in self.spans}

    @cached_property
    def _deletions(self) -> list[_Span]:
        return [span for span in reversed(self.spans) if span.version.is_marker]

    def was_current(self, version: ObjectVersion, first: int, latest: int) -> bool:
        """Whether it was, between the end of a second ``first`` and the time ``latest``, which is included."""
        span = self._span_of.get(version.version_id)
        return span is not None and span.after <= latest and span.until >= first

    def was_deleted(self, first: int, latest: int) -> bool:
        """Whether a delete marker was current at any time between."""
        number = bisect_left(self._deletions, first, key=itemgetter(1))
        return number < len(self._deletions) and self._deletions[number].after <= latest


def _within(runs: list[_Run], start: int, stop: int) -> Iterator[_Run]:
    """The runs from one state to another, cut there."""
    if start >= stop:
        return
    number = bisect_right(runs, start, key=itemgetter(0)) - 1
    while start < stop:
        run = runs[number]
        end = min(run.stop, stop)
        yield _Run(start, end, run.current)
        start, number = end, number + 1


def _among(numbers: list[int], start: int, stop: int) -> list[int]:
    """Those of sorted numbers that are in a range."""
    return numbers[bisect_left(numbers, start) : bisect_left(numbers, stop)]


def _difference(version: ObjectVersion, entry: Entry) -> str:
    """What the bucket's version is otherwise than the entry says, or ""."""
    if version.is_marker:
        return "in the bucket it is a delete marker"
    if version.size != entry.size:
        return f"the bucket's version has another size ({version.size}, not {entry.size})"
    if version.etag != entry.etag:
        return "the bucket's version has another etag"
    if version.last_modified != entry.last_modified:
        return f"the bucket's version is of another time ({iso(version.last_modified)}, not {iso(entry.last_modified)})"
    return ""


def _result(
    info: StateInfo, verified: int, contradicted: int, besides: int, told: list[Contradiction]
) -> ComparisonResult:
    unknown = max(0, info.objects - verified - contradicted)
    verdict: Verdict = "contradicted" if contradicted or besides else "unknown" if unknown else "verified"
    return ComparisonResult(info, verdict, verified, contradicted + besides, unknown, tuple(told))


def _add(differences: list[int], start: int, stop: int) -> None:
    differences[start] += 1
    differences[stop] -= 1
