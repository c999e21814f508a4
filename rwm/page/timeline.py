"""What happened in a location over time, in a fixed number of bins of equal length. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rwm.model import Verdict
from rwm.times import HOUR
from rwm.trust import AuditReport, Hour


@dataclass(slots=True)
class Bin:
    """One span of time. ``files`` and ``bytes`` are what was there at its end; locks do not count."""

    start: int
    end: int
    files: int = 0
    bytes: int = 0
    added: int = 0
    added_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    proofs: int = 0
    hints: int = 0
    states: dict[Verdict, int] = field(default_factory=dict)
    """The number of recorded states of the span, by verdict."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The bins from the first hour with any change to the time of the audit."""

    bins: Sequence[Bin]
    last_clean: int | None
    """The position of the bin with the last clean state or second."""


def make_timeline(report: AuditReport, count: int) -> Timeline | None:
    """Bin the changes, the listed findings that nobody has acknowledged, and the states. None without any change.

    Findings about a state as a whole have no time of the server's: the state shows them.
    """
    hours = [hour for audit in report.audit.repositories for hour in audit.activity.hours()]
    if not hours:
        return None
    bins = _bins(min(hour.start for hour in hours), report.audit.now, count)
    _count_hours(bins, hours)
    for finding in report.open_findings:
        if not finding.key:
            continue
        found = bins[_position(bins, finding.at)]
        if finding.rule.level == "proof":
            found.proofs += 1
        else:
            found.hints += 1
    for item in report.states:
        states = bins[_position(bins, item.state.info.captured_at)].states
        states[item.verdict] = states.get(item.verdict, 0) + 1
    last = report.last_clean_at
    return Timeline(bins, None if last is None else _position(bins, last))


def _bins(first: int, last: int, count: int) -> list[Bin]:
    """Bins of whole hours, as few as hold all hours and at most ``count``."""
    hours = last // HOUR - first // HOUR + 1
    length = -(-hours // count) * HOUR
    start = first // HOUR * HOUR
    return [Bin(start + n * length, start + (n + 1) * length) for n in range(-(-hours * HOUR // length))]


def _position(bins: Sequence[Bin], time: int) -> int:
    """The position of the bin of a time; times outside are in the first or the last one."""
    length = bins[0].end - bins[0].start
    return min(max(0, (time - bins[0].start) // length), len(bins) - 1)


def _count_hours(bins: Sequence[Bin], hours: Iterable[Hour]) -> None:
    for hour in hours:
        found = bins[_position(bins, hour.start)]
        found.added += hour.added
        found.added_bytes += hour.added_bytes
        found.removed += hour.removed
        found.removed_bytes += hour.removed_bytes
    files = size = 0
    for found in bins:
        files += found.added - found.removed
        size += found.added_bytes - found.removed_bytes
        found.files, found.bytes = files, size
