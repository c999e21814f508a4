"""The result of ``rwm audit`` as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import Invocation
from rwm.location import Location
from rwm.phrases import name_some
from rwm.shell import quote
from rwm.times import SECOND, iso, iso_second

if TYPE_CHECKING:
    from rwm.trust import AuditReport, Finding, LocationAudit, LockHistory, StateVerdict

_SHOWN = 10
"""Findings of one code, and states, that are printed."""


def report_json(report: AuditReport) -> dict[str, Any]:
    """The report as docs/scripts.md describes it."""
    last = report.last_clean
    return {
        "bucket": report.audit.location.bucket,
        "prefix": report.audit.location.prefix,
        "audited_at": iso(report.audit.now),
        "verdict": report.verdict,
        "last_clean": last and last.id,
        "last_clean_at": None if report.last_clean_at is None else iso(report.last_clean_at),
        "states": [_state_json(item) for item in report.states],
        "findings": [finding_json(report.audit, finding) for finding in report.findings],
        "counts": report.counts,
        "repositories": [
            {
                "prefix": audit.root,
                "versions": audit.versions,
                "locks_known_since": iso(since) if (since := audit.locks.known_since) < report.audit.now else None,
            }
            for audit in report.audit.repositories
        ],
        "unknown_state_files": report.unknown_files,
        "judged_until": iso_second(report.audit.until),
        "clock": {"measured": report.audit.clock.is_measured, "date_ahead": report.audit.clock.ahead // SECOND},
    }


def _state_json(item: StateVerdict) -> dict[str, Any]:
    found = {**console.recorded_state_json(item.state), "findings": [finding.id for finding in item.findings]}
    return found if item.missing is None else {**found, "missing_versions": item.missing.versions}


def finding_json(audit: LocationAudit, finding: Finding) -> dict[str, Any]:
    """A finding as JSON, and whether a person has judged it."""
    return {**finding_fields(finding), "acknowledged": audit.is_acknowledged(finding)}


def finding_fields(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "id": finding.id,
        "code": finding.rule.code,
        "level": finding.rule.level,
        "repository": finding.root,
        "key": finding.key or None,
        "version_id": finding.version_id or None,
        "at": iso(finding.at),
        "detail": finding.detail,
    }


# --- text --------------------------------------------------------------------------------------------


def print_report(report: AuditReport, *, show_all: bool) -> None:
    """The verdict, the findings, the states, and what to do next."""
    click.echo(verdict_sentence(report))
    console.print_text(*describe_limits(report))
    if report.findings:
        click.echo()
        _print_findings(report, limit=None if show_all else _SHOWN)
    if report.states:
        click.echo()
        _print_states(report, limit=None if show_all else _SHOWN)
    click.echo()
    console.print_lines(next_steps(report, console.current_invocation()))


def describe_limits(report: AuditReport) -> list[str]:
    """What was not judged."""
    location = report.audit.location
    lines = _describe_clock(report.audit)
    unjudged = [
        f"{console.shorten(str(Location(location.bucket, audit.root)))} {why}: removals are not judged by locks"
        for audit in report.audit.repositories
        if (why := _why_not_judged(audit.locks))
    ]
    lines += unjudged[:_SHOWN]
    if len(unjudged) > _SHOWN:
        lines.append(f"… and {len(unjudged) - _SHOWN} more repositories of which removals are not judged")
    if report.unknown_files:
        files = console.format_count(report.unknown_files, "state file")
        lines.append(f"{files} in the bucket not recorded in the index: `rwm state sync {quote(location)}` reads them")
    return lines


def _why_not_judged(locks: LockHistory) -> str:
    """Why no removal in a repository is judged by locks, or ""."""
    if locks.is_empty:
        return "never had a lock of restic"
    return "" if locks.doubtful() is None else "has only locks that may be left for the states that have them"


def _describe_clock(audit: LocationAudit) -> list[str]:
    """By which clock was judged, where that is not the one of the Date header or is not known."""
    if not audit.clock.is_measured:
        until = iso_second(audit.until)
        return [f"these keys cannot measure the clock of the objects: what happened until {until} was judged"]
    if not audit.clock.ahead:
        return []
    side = "ahead of" if audit.clock.ahead > 0 else "behind"
    age = console.format_age(abs(audit.clock.ahead))
    return [f"the Date header of the server is {age} {side} the clock of the objects, by which the audit judges"]


def verdict_sentence(report: AuditReport) -> str:
    """The result in one sentence."""
    audit = report.audit
    acknowledged = len(report.findings) - len(report.open_findings)
    beside = f" ({console.format_count(acknowledged, 'finding')} acknowledged)" if acknowledged else ""
    if report.open_proofs:
        since = iso_second(report.first_proof)
        proofs = console.format_count(report.open_proofs, "proof")
        return f"{audit.location}: {proofs} of an attack or a fault, the first at {since}{beside}"
    if report.open_findings:
        hints = console.format_count(len(report.open_findings), "hint")
        return f"{audit.location}: no proof of an attack, {hints} to look at{beside}"
    return f"{audit.location} is clean as far as its history reaches{beside}"


def _print_findings(report: AuditReport, *, limit: int | None) -> None:
    counts = report.counts
    shown: dict[str, int] = {}
    rows = []
    for finding in report.findings:
        code = finding.rule.code
        shown[code] = shown.get(code, 0) + 1
        if limit is not None and shown[code] > limit:
            continue
        mark = " (acknowledged)" if report.audit.is_acknowledged(finding) else ""
        rows.append(
            (
                finding.id,
                iso_second(finding.at),
                finding.rule.level,
                code,
                finding.detail + mark,
                console.shorten(finding.key),
            )
        )
    console.print_table(["id", "at", "level", "code", "detail", "key"], rows)
    for code, count in counts.items():
        if (left := count - min(shown.get(code, 0), limit or count)) > 0:
            click.echo(f"… and {left} more of {code}")


def _print_states(report: AuditReport, *, limit: int | None) -> None:
    states = report.states if limit is None else report.states[-limit:]
    if len(states) < len(report.states):
        click.echo(f"the newest {len(states)} of {len(report.states)} states; --all shows all")
    rows = [
        (
            item.state.info.short,
            console.escape(str(item.state.info.location)),
            iso(item.state.info.captured_at),
            item.verdict,
            name_some(sorted({finding.rule.code for finding in item.findings})),
        )
        for item in states
    ]
    console.print_table(["state", "location", "captured at", "verdict", "findings"], rows)


def next_steps(report: AuditReport, invocation: Invocation) -> list[str]:
    """What to do: sentences, and indented commands."""

    def indented(command: str) -> str:
        return f"  {console.complete_command(command, invocation)}"

    where, last, at = report.audit.location, report.last_clean, report.last_clean_at
    if last is not None:
        return [
            f"last clean state: {last.short} of {iso(last.captured_at)}",
            indented(f"rwmfs mount {quote(where)} --at {last.short} /mnt/repo"),
        ]
    if at is not None:
        return [
            f"no recorded state is clean; the bucket was clean and quiet at {iso(at)}",
            indented(f"rwm audit {quote(where)} --capture"),
        ]
    return ["no clean state is recorded, and no second is known at which the bucket was clean"]
