"""``rwm backup``: run the configured backups, apply retention, capture the state, audit the bucket quickly."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.audit_report import finding_fields
from rwm.console import App, common_options, pass_app

if TYPE_CHECKING:
    from rwm.backup import QuickAudit, Report


@click.command(short_help="Run backups, apply retention, capture the state.")
@common_options
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "all_backups", is_flag=True, help="Run all backups of the configuration.")
@pass_app
def backup(app: App, names: tuple[str, ...], all_backups: bool) -> int:
    """Run backups, apply retention if all succeeded, capture the bucket's state, and audit the bucket quickly.

    Exit code 4 if the bucket has no versioning, or shows a proof of an attack that nobody has acknowledged.
    """
    return run_and_print(app, names, all_backups=all_backups)


def run_and_print(app: App, names: tuple[str, ...], *, all_backups: bool) -> int:
    """Run the selected backups and print the report; returns the exit code. Shared with the alias ``backup_all``."""
    from rwm.backup import hold_lock, run_backups, select_backups

    backups = select_backups(app.config, names, all_backups=all_backups)
    # With --json, stdout is one document: the output of restic goes to stderr.
    on_line = (lambda name, line: print(line, file=sys.stderr)) if app.json else None
    with hold_lock(app.config.lock_path):
        report = run_backups(app.config, backups, app.s3, lambda: app.index, console.print_note, on_line)
    if app.json:
        console.print_json(_report_json(report))
    else:
        _print_report(report)
    return report.exit_code


def _report_json(report: Report) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "backups": [asdict(result) for result in report.backups],
        "forget": report.forget._asdict() if report.forget else None,
        "state": console.state_json(report.state) if report.state else None,
        "warnings": report.warnings,
        "errors": report.errors,
        "versioned": report.is_versioned,
        "audit": _audit_json(report.audit) if report.audit else None,
    }


def _audit_json(audit: QuickAudit) -> dict[str, Any]:
    return {
        "verdict": audit.verdict,
        "packs": audit.has_packs,
        "proofs": audit.proofs,
        "hints": audit.hints,
        "findings": [finding_fields(finding) for finding in audit.findings],
    }


def _print_report(report: Report) -> None:
    rows: list[tuple[str, str, str, str]] = [
        (r.name, r.outcome, f"{r.seconds:.1f} s", r.detail) for r in report.backups
    ]
    if report.forget:
        rows.append(("(forget, prune)", report.forget.outcome, "", report.forget.detail))
    if report.state:
        info = report.state
        rows.append(("(state)", "ok", "", f"{info.short}: {console.format_count(info.objects, 'object')}"))
    rows += [("(state)", "failed", "", "not captured, see above") for _ in report.errors]
    if report.is_versioned is False:
        rows.append(("(bucket)", "unsafe", "", "it has no versioning"))
    if report.audit:
        rows.append(("(audit)", report.audit.verdict, "", _describe_audit(report.audit)))
    click.echo()
    console.print_table(["backup", "result", "time", "detail"], rows, right=(2,))


def _describe_audit(audit: QuickAudit) -> str:
    found = f"{console.format_count(audit.proofs, 'proof')}, {console.format_count(audit.hints, 'hint')}"
    return found if audit.has_packs else f"{found} (without packs)"
