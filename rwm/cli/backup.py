"""``rwm backup``: run the configured backups, apply retention, capture the state."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App, common_options, pass_app

if TYPE_CHECKING:
    from rwm.backup import Report


@click.command(short_help="Run backups, apply retention, capture the state.")
@common_options
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "all_backups", is_flag=True, help="Run all backups of the configuration.")
@pass_app
def backup(app: App, names: tuple[str, ...], all_backups: bool) -> int:
    """Run backups, apply retention if all succeeded, and capture the bucket's state."""
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
    }


def _print_report(report: Report) -> None:
    rows = [(r.name, r.outcome, f"{r.seconds:.1f} s", r.detail) for r in report.backups]
    if report.forget:
        rows.append(("(forget, prune)", report.forget.outcome, "", report.forget.detail))
    if report.state:
        info = report.state
        rows.append(("(state)", "ok", "", f"{info.id[: console.SHORT_ID]}: {info.objects} objects"))
    rows += [("(state)", "failed", "", error) for error in report.errors]
    click.echo()
    console.print_table(["backup", "result", "time", "detail"], rows, right=(2,))
