"""``rwm backup``: the configured backups, retention, and the state that goes with them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App, common, pass_app

if TYPE_CHECKING:
    from rwm.backup import Report


@click.command()
@common
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="All backups of the configuration.")
@pass_app
def backup(app: App, names: tuple[str, ...], everything: bool) -> int:
    """Run backups, apply retention if all succeeded, and capture the bucket's state."""
    return run(app, names, everything=everything)


def run(app: App, names: tuple[str, ...], *, everything: bool) -> int:
    """What ``backup`` and the older ``backup_all`` do; returns the exit code."""
    from rwm.backup import held, run_backups, selected

    chosen = selected(app.config, names, everything=everything)
    # With --json stdout is one document: what restic prints goes to stderr then.
    on_line = (lambda name, line: print(line, file=sys.stderr)) if app.json else None
    with held(app.config.lock_path):
        report = run_backups(app.config, chosen, app.s3, lambda: app.index, console.note, on_line)
    if app.json:
        console.document(_json(report))
    else:
        _show(report)
    return report.exit_code


def _json(report: Report) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "backups": [asdict(result) for result in report.backups],
        "forget": report.forget._asdict() if report.forget else None,
        "state": console.state_json(report.state) if report.state else None,
        "warnings": report.warnings,
        "errors": report.errors,
    }


def _show(report: Report) -> None:
    rows = [(r.name, r.outcome, f"{r.seconds:.1f} s", r.detail) for r in report.backups]
    if report.forget:
        rows.append(("(forget, prune)", report.forget.outcome, "", report.forget.detail))
    if report.state:
        info = report.state
        rows.append(("(state)", "ok", "", f"{info.id[: console.SHORT_ID]}: {info.objects} objects"))
    rows += [("(state)", "failed", "", error) for error in report.errors]
    click.echo()
    console.table(["backup", "result", "time", "detail"], rows, right=(2,))
