"""The timeline as shapes of an SVG image, in a wide and in a narrow form. Pure.

From top to bottom: bytes, files, changes, findings, states. Colours and shapes of the marks are the template's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rwm import console
from rwm.model import Verdict
from rwm.page.timeline import Bin, Timeline
from rwm.times import DAY, iso

_PANEL = 92  # height of a panel
_GAP = 34  # between panels: for the next one's title
_LANE = 30  # height of the lanes of findings and states
_TOP = 22
_MIN_BAR = 2.0  # a change is visible, however small
_WORST_FIRST: tuple[Verdict, ...] = ("suspect", "review", "clean")


@dataclass(frozen=True, slots=True)
class Panel:
    """A curve with its area: ``path`` is the data of an SVG path. ``top_label`` is the value at its upper edge."""

    title: str
    top: float
    bottom: float
    path: str
    top_label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle: ``kind`` is ``added`` or ``removed``."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding or a state at ``x``: ``kind`` is ``proof``, ``hint`` or a verdict."""

    kind: str
    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis; ``anchor`` is SVG's text-anchor."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All shapes of one image of ``width`` by ``height`` units. ``name`` tells the ids of its elements apart."""

    name: str
    width: int
    height: float
    left: float
    right: float
    panels: Sequence[Panel]
    middle: float
    """The zero line of the changes, below :attr:`changes_top`."""
    changes_top: float
    bars: Sequence[Bar]
    findings_y: float
    findings: Sequence[Mark]
    states_y: float
    states: Sequence[Mark]
    ticks: Sequence[Tick]
    first_proof: float | None
    last_clean: float | None
    summary: str

    def anchor(self, x: float) -> str:
        """The text-anchor with which a short label at ``x`` stays within the image."""
        return "start" if x < self.width * 0.1 else "end" if x > self.width * 0.9 else "middle"


def draw(timeline: Timeline, name: str, width: int, ticks: int) -> Chart:
    """Lay the timeline out in ``width`` units, with so many times on the axis."""
    bins = timeline.bins
    left, right = 4.0, width - 4.0
    step = (right - left) / len(bins)

    def centre(position: int) -> float:
        return round(left + (position + 0.5) * step, 1)

    panels = []
    top = float(_TOP)
    for title, value, label in (
        ("Bytes", lambda each: each.bytes, console.format_size),
        ("Files", lambda each: each.files, thousands),
    ):
        panels.append(_panel(title, bins, value, label, (left, right), top))
        top += _PANEL + _GAP
    middle = top + _PANEL / 2
    findings_y = top + _PANEL + _GAP + _LANE / 2
    states_y = findings_y + _LANE + _GAP
    first = next((n for n, each in enumerate(bins) if each.proofs), None)
    return Chart(
        name,
        width,
        states_y + 2 * _LANE,
        left,
        right,
        panels,
        middle,
        top,
        _bars(bins, left, step, middle),
        findings_y,
        [mark for n, each in enumerate(bins) if (mark := _finding_mark(each, centre(n), findings_y))],
        states_y,
        [mark for n, each in enumerate(bins) if (mark := _state_mark(each, centre(n), states_y))],
        _ticks(bins, left, right, ticks),
        None if first is None else centre(first),
        None if timeline.last_clean is None else centre(timeline.last_clean),
        describe(timeline),
    )


def describe(timeline: Timeline) -> str:
    """What the image shows, as text."""
    bins = timeline.bins
    added, removed = sum(each.added for each in bins), sum(each.removed for each in bins)
    proofs = sum(each.proofs for each in bins)
    states = sum(sum(each.states.values()) for each in bins)
    return (
        f"From {_day(bins[0].start)} to {_day(bins[-1].end)}: {thousands(added)} files added, {thousands(removed)} "
        f"removed; {thousands(bins[-1].files)} files with {console.format_size(max(0, bins[-1].bytes))} at the end; "
        f"{console.format_count(proofs, 'proof')} marked; {console.format_count(states, 'state')}."
    )


def _panel(
    title: str,
    bins: Sequence[Bin],
    value: Callable[[Bin], int],
    label: Callable[[int], str],
    span: tuple[float, float],
    top: float,
) -> Panel:
    """Values as steps, because they change at once and not steadily."""
    left, right = span
    values = [max(0, value(each)) for each in bins]
    most = max(values)
    bottom = top + _PANEL
    step = (right - left) / len(bins)
    points = [f"M{left:.1f} {bottom:.1f}"]
    for number, each in enumerate(values):
        y = bottom - _PANEL * each / max(most, 1)
        points.append(f"V{y:.1f}H{left + (number + 1) * step:.1f}")
    return Panel(title, top, bottom, "".join([*points, f"V{bottom:.1f}Z"]), label(most))


def _bars(bins: Sequence[Bin], left: float, step: float, middle: float) -> list[Bar]:
    most = max(max(each.added, each.removed) for each in bins)
    bars = []
    for number, each in enumerate(bins):
        x, width = round(left + number * step + step * 0.1, 1), round(max(1.0, step * 0.8), 1)
        for kind, count, size in (
            ("added", each.added, each.added_bytes),
            ("removed", each.removed, each.removed_bytes),
        ):
            if count:
                height = round(max(_MIN_BAR, _PANEL / 2 * count / most), 1)
                y = round(middle - height, 1) if kind == "added" else middle
                text = f"{_span(each)}: {thousands(count)} files {kind}, {console.format_size(size)}"
                bars.append(Bar(kind, x, y, width, height, text))
    return bars


def _finding_mark(each: Bin, x: float, y: float) -> Mark | None:
    if not each.proofs and not each.hints:
        return None
    counts = [console.format_count(count, noun) for count, noun in ((each.proofs, "proof"), (each.hints, "hint"))]
    text = ", ".join(count for count in counts if not count.startswith("0 "))
    return Mark("proof" if each.proofs else "hint", x, y, f"{_span(each)}: {text}")


def _state_mark(each: Bin, x: float, y: float) -> Mark | None:
    if not each.states:
        return None
    worst = next(verdict for verdict in _WORST_FIRST if verdict in each.states)
    text = ", ".join(f"{each.states[verdict]} {verdict}" for verdict in _WORST_FIRST if verdict in each.states)
    return Mark(worst, x, y, f"{_span(each)}: states: {text}")


def _ticks(bins: Sequence[Bin], left: float, right: float, count: int) -> list[Tick]:
    start, end = bins[0].start, bins[-1].end
    ticks = []
    for number in range(count):
        part = number / (count - 1)
        time = round(start + (end - start) * part) // 60_000 * 60_000
        label = _day(time) if end - start > 3 * DAY else iso(time)[5:16].replace("T", " ")
        anchor = "start" if number == 0 else "end" if number == count - 1 else "middle"
        ticks.append(Tick(round(left + (right - left) * part, 1), label, anchor))
    return ticks


def _day(time: int) -> str:
    return iso(time)[:10]


def _span(each: Bin) -> str:
    """When a bin begins."""
    return iso(each.start)[:16].replace("T", " ")


def thousands(number: int) -> str:
    """``12 345``, with narrow spaces that break no line."""
    return f"{number:,}".replace(",", "\u202f")
