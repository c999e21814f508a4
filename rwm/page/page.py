"""The page of an audit report. Pure: the same report gives the same page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rwm import console
from rwm.model import SHORT_ID
from rwm.page.chart import draw, thousands
from rwm.page.file import MARK
from rwm.page.timeline import make_timeline
from rwm.times import iso, iso_second
from rwm.trust import AuditReport, Finding, Rule, StateVerdict

FINDINGS_SHOWN = 10
"""Findings of one code on the page."""

STATES_SHOWN = 100

_NAME = 200  # characters of a key that are shown
_WIDE, _NARROW = 960, 400  # units of the two images; the narrow one is for a phone
_BINS, _NARROW_BINS = 120, 48


_WORDS = {"clean": "Clean", "review": "To be looked at", "suspect": "Proofs found"}


class _Step(NamedTuple):
    """A line of what to do."""

    text: str
    is_command: bool


class PageText(NamedTuple):
    """What the command prints too: the verdict in a sentence, remarks, and what to do (commands are indented)."""

    sentence: str
    notes: Sequence[str]
    steps: Sequence[str]


@dataclass(frozen=True)
class Group:
    """The findings of one rule: the first ones, how many there are, and how many of them are not shown."""

    rule: Rule
    count: int
    first: Sequence[Finding]

    @property
    def more(self) -> int:
        """Findings that are not shown."""
        return self.count - len(self.first)


def render_page(report: AuditReport, text: PageText, version: str) -> str:
    """The page, complete in itself: no script, and nothing is loaded. ``version`` is that of RWM."""
    template = _environment().get_template("audit.html")
    return MARK + template.render(
        report=report,
        text=text,
        version=version,
        level=_level(report),
        words=_WORDS,
        steps=[_Step(line.strip(), line.startswith(" ")) for line in text.steps],
        groups=list(_groups(report)),
        states=_newest(report.states),
        charts=list(_charts(report)),
        repositories=_count_repositories(len(report.audit.repositories)),
        versions=sum(audit.versions for audit in report.audit.repositories),
        findings=sum(report.counts.values()),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rwm.page"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        # Control characters, also those that change the direction of text: a key may have any.
        visible=lambda value: console.escape(str(value)),
        name=lambda value: _shorten(console.escape(value)),
        time=lambda value: iso_second(value).replace("T", " ").removesuffix("Z"),
        iso=iso,
        size=console.format_size,
        short=lambda value: value[:SHORT_ID],
        number=thousands,
        sentence=lambda value: value[:1].upper() + value[1:],
        codes=lambda item: ", ".join(sorted({finding.rule.code for finding in item.findings})),
    )
    environment.globals.update(count=console.format_count)
    return environment


def _shorten(name: str) -> str:
    """The start and the end of a long name."""
    return name if len(name) <= _NAME else f"{name[: _NAME * 3 // 4]}…{name[-_NAME // 4 :]}"


def _count_repositories(number: int) -> str:
    return "1 repository" if number == 1 else f"{number} repositories"


def _level(report: AuditReport) -> str:
    """The verdict whose colour the top of the page has."""
    return "suspect" if report.open_proofs else "review" if report.open_findings else "clean"


def _groups(report: AuditReport) -> Iterator[Group]:
    """Proofs first, then by the time of the first finding."""
    by_rule: dict[Rule, list[Finding]] = {}
    for finding in report.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, found in sorted(by_rule.items(), key=lambda item: (item[0].level != "proof", item[1][0].at)):
        yield Group(rule, report.counts[rule.code], found[:FINDINGS_SHOWN])


def _newest(states: Sequence[StateVerdict]) -> list[StateVerdict]:
    return list(states[: -STATES_SHOWN - 1 : -1])


def _charts(report: AuditReport) -> Iterator[Any]:
    for name, width, bins, ticks in (("wide", _WIDE, _BINS, 5), ("narrow", _NARROW, _NARROW_BINS, 3)):
        timeline = make_timeline(report, bins)
        if timeline is not None:
            yield draw(timeline, name, width, ticks)
