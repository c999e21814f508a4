"""``rwm audit``: what happened in a bucket, and which states are clean."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import LOCATION, App, common_options, pass_app
from rwm.errors import CheckFailed, IndexUnusable, NotFound, UsageError
from rwm.location import Location
from rwm.model import Acknowledgement
from rwm.times import SECOND, iso

if TYPE_CHECKING:
    from rwm.trust import AuditReport, Finding, StateVerdict

_SHOWN = 10
"""Findings of one code, and states, that are printed."""


@click.command(short_help="Find what restic cannot have done, and the last clean state.")
@common_options
@click.argument("location", metavar="BUCKET[/PREFIX]", type=LOCATION, required=False)
@click.option("--all", "show_all", is_flag=True, help="Print every listed finding and every state.")
@click.option("--ack", metavar="ID|CODE", help="Acknowledge a finding, or all findings of a code up to now.")
@click.option("--note", metavar="TEXT", help="Why (with --ack).")
@click.option("--withdraw", metavar="ID|CODE", help="Undo an acknowledgement.")
@click.option("--rules", is_flag=True, help="List the rules with their reasons.")
@pass_app
def audit(
    app: App,
    location: Location | None,
    show_all: bool,
    ack: str | None,
    note: str | None,
    withdraw: str | None,
    rules: bool,
) -> None:
    """Find what restic cannot have done in BUCKET, and the last clean state.

    Reads the version listing alone: no content, no password; recorded states are judged too. A finding is a `proof`
    (restic cannot have done it) or a `hint` (unusual, but it may be honest). Exit code 4 if there is a proof that
    nobody has acknowledged.
    """
    if rules:
        _print_rules(app)
        return
    if location is None:
        raise UsageError("which bucket is to be audited?", hint="write `rwm audit BUCKET` or `rwm audit BUCKET/PREFIX`")
    if (ack is None) != (note is None):
        raise UsageError("--ack and --note go together", hint='write --ack ID --note "why it is honest"')
    if withdraw is not None:
        _withdraw(app, location, withdraw)
    report = _audit(app, location)
    if ack is not None:
        _acknowledge(app, location, report, ack, note or "")
        report = _audit(app, location)
    if app.json:
        console.print_json(_report_json(report))
    else:
        _print_report(report, show_all=show_all)
    if report.audit.proofs or report.verdict == "suspect":
        raise CheckFailed(f"{location}: {console.format_count(report.audit.proofs, 'proof')} of an attack or a fault")


def _audit(app: App, location: Location) -> AuditReport:
    """Audit, and record the verdicts where the index can be written."""
    from rwm.trust import AuditSettings, audit_location, make_report

    index = app.readonly_index
    settings = AuditSettings(
        index.audits.acknowledged(location), frozenset(app.config.audit.except_), app.config.retention
    )
    with console.show_progress(f"listing {location}") as progress:
        found = audit_location(app.s3, location, settings, progress)
    if not found.repositories:
        raise NotFound(
            f"{location} has no restic repository, and never had one as far as its history reaches",
            hint="a repository has the file config beside keys/ and data/; `rwm storage list` shows the buckets",
        )
    report = make_report(found, index.recorded(location))
    if report.states:
        _record(app, report)
    return report


def _record(app: App, report: AuditReport) -> None:
    try:
        index = app.index
        index.audits.record({item.state.info.id: item.verdict for item in report.states}, report.audit.now)
    except IndexUnusable as error:
        console.warn(f"the verdicts are not recorded: {error.message}")


def _acknowledge(app: App, location: Location, report: AuditReport, what: str, note: str) -> None:
    from rwm.trust import CODES

    if what not in CODES and what not in {finding.id for finding in report.findings}:
        raise UsageError(
            f"{what!r} is neither a finding of {location} nor a code", hint="`rwm audit` shows the ids and codes"
        )
    if not note.strip():
        raise UsageError("an acknowledgement needs a note", hint="say in --note why it is honest")
    now = int(time.time()) * SECOND
    app.index.audits.acknowledge(location.bucket, Acknowledgement(what, report.audit.now, now, note))


def _withdraw(app: App, location: Location, what: str) -> None:
    if not app.index.audits.withdraw(location.bucket, what):
        raise UsageError(f"{what!r} was not acknowledged in {location.bucket}")


# --- JSON --------------------------------------------------------------------------------------------


def _report_json(report: AuditReport) -> dict[str, Any]:
    last = report.last_clean
    return {
        "bucket": report.audit.location.bucket,
        "prefix": report.audit.location.prefix,
        "audited_at": iso(report.audit.now),
        "verdict": report.verdict,
        "last_clean": last and last.id,
        "last_clean_at": None if report.last_clean_at is None else iso(report.last_clean_at),
        "states": [_state_json(item) for item in report.states],
        "findings": [_finding_json(report, finding) for finding in report.findings],
        "counts": report.audit.counts(),
        "repositories": [
            {
                "prefix": audit.root,
                "versions": audit.versions,
                "locks_known_since": None if audit.locks.is_empty else iso(audit.locks.known_since),
            }
            for audit in report.audit.repositories
        ],
        "unknown_state_files": report.unknown_files,
    }


def _state_json(item: StateVerdict) -> dict[str, Any]:
    return {
        **console.recorded_state_json(item.state),
        "verdict": item.verdict,
        "findings": [finding.id for finding in item.findings],
    }


def _finding_json(report: AuditReport, finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "code": finding.rule.code,
        "level": finding.rule.level,
        "repository": finding.root,
        "key": finding.key or None,
        "version_id": finding.version_id or None,
        "at": iso(finding.at),
        "detail": finding.detail,
        "acknowledged": report.audit.is_acknowledged(finding),
    }


# --- text --------------------------------------------------------------------------------------------


def _print_report(report: AuditReport, *, show_all: bool) -> None:
    click.echo(_verdict_sentence(report))
    for audit in report.audit.repositories:
        if audit.locks.is_empty:
            where = Location(report.audit.location.bucket, audit.root)
            click.echo(f"{where} never had a lock of restic: removals are not judged by locks")
    if report.unknown_files:
        click.echo(
            f"{console.format_count(report.unknown_files, 'state file')} in the bucket not recorded in the index: "
            f"`rwm state sync {report.audit.location}` reads them"
        )
    if report.findings:
        click.echo()
        _print_findings(report, limit=None if show_all else _SHOWN)
    if report.states:
        click.echo()
        _print_states(report, limit=None if show_all else _SHOWN)
    click.echo()
    console.print_lines(_next_steps(report))


def _verdict_sentence(report: AuditReport) -> str:
    audit = report.audit
    acknowledged = len(report.findings) - len(report.open_findings)
    beside = f" ({console.format_count(acknowledged, 'finding')} acknowledged)" if acknowledged else ""
    if audit.proofs:
        since = iso(min(log.first_proof for log in audit.logs()) // SECOND * SECOND)
        proofs = console.format_count(audit.proofs, "proof")
        return f"{audit.location}: {proofs} of an attack or a fault, the first at {since}{beside}"
    if report.open_findings:
        hints = console.format_count(len(report.open_findings), "hint")
        return f"{audit.location}: no proof of an attack, {hints} to look at{beside}"
    return f"{audit.location} is clean as far as its history reaches{beside}"


def _print_findings(report: AuditReport, *, limit: int | None) -> None:
    counts = report.audit.counts()
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
                iso(finding.at // SECOND * SECOND),
                finding.rule.level,
                code,
                finding.detail + mark,
                console.escape(finding.key),
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
            item.state.info.id[: console.SHORT_ID],
            console.escape(str(item.state.info.location)),
            iso(item.state.info.captured_at),
            item.verdict,
            ", ".join(sorted({finding.rule.code for finding in item.findings})),
        )
        for item in states
    ]
    console.print_table(["state", "location", "captured at", "verdict", "findings"], rows)


def _next_steps(report: AuditReport) -> list[str]:
    where, last, at = report.audit.location, report.last_clean, report.last_clean_at
    if last is not None:
        return [
            f"last clean state: {last.id[: console.SHORT_ID]} of {iso(last.captured_at)}",
            f"  rwmfs mount {where} --at {last.id[: console.SHORT_ID]} MOUNTPOINT",
        ]
    if at is not None:
        return [
            f"no recorded state is clean; the bucket was clean and quiet at {iso(at)}",
            f"  rwm state capture {where} --at {iso(at)}",
        ]
    return ["no clean state is recorded, and no second is known at which the bucket was clean"]


def _print_rules(app: App) -> None:
    from rwm.trust import RULES

    if app.json:
        console.print_json([rule._asdict() for rule in RULES])
        return
    for rule in RULES:
        click.echo(f"{rule.code} ({rule.level}): {rule.what}\n  {rule.why}")
