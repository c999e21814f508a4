"""``rwm audit``: what happened in a bucket, and which states are clean."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rwm import console
from rwm.cli.audit_bisect import bisect
from rwm.cli.audit_page import check_page_option, output_page
from rwm.cli.audit_report import print_report, report_json
from rwm.cli.audit_run import capture_quiet_second, run_audit
from rwm.cli.audit_snapshots import DEFAULT_STATES, is_snapshot_finding, print_snapshots
from rwm.console import LOCATION, App, common_options, pass_app
from rwm.errors import CheckFailed, UsageError
from rwm.location import Location
from rwm.model import Acknowledgement
from rwm.shell import quote
from rwm.times import SECOND

if TYPE_CHECKING:
    from rwm.trust import AuditReport


@click.command(short_help="Find what restic cannot have done, and the last clean state.")
@common_options
@click.argument("location", metavar="BUCKET[/PREFIX]", type=LOCATION, required=False)
@click.option("--all", "show_all", is_flag=True, help="Print every listed finding and every state.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with a timeline; - is stdout."
)
@click.option("--ack", metavar="ID|CODE", help="Acknowledge a finding, or all findings of a code up to now.")
@click.option("--note", metavar="TEXT", help="Why (with --ack).")
@click.option("--withdraw", metavar="ID|CODE", help="Undo an acknowledgement.")
@click.option("--capture", is_flag=True, help="If no recorded state is clean, capture the last clean one from history.")
@click.option("--rules", is_flag=True, help="List the rules with their reasons.")
@click.option(
    "--bisect",
    "bisects",
    is_flag=True,
    help="Find the newest state on which `restic check` passes, on mounts, with the configured password.",
)
@click.option("--again", is_flag=True, help="With --bisect: also check states that were checked before.")
@click.option(
    "--snapshots", is_flag=True, help="List the snapshots of states, read on mounts with the configured password."
)
@click.option(
    "--states",
    "limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"With --snapshots: of the newest N states (default: {DEFAULT_STATES}).",
)
@pass_app
def audit(
    app: App,
    location: Location | None,
    show_all: bool,
    page: Path | None,
    ack: str | None,
    note: str | None,
    withdraw: str | None,
    capture: bool,
    rules: bool,
    bisects: bool,
    again: bool,
    snapshots: bool,
    limit: int | None,
) -> None:
    """Find what restic cannot have done in BUCKET, and the last clean state.

    Reads the version listing alone: no content, no password; recorded states are judged too. A finding is a `proof`
    (restic cannot have done it) or a `hint` (unusual, but it may be honest). Exit code 4 if there is a proof that
    nobody has acknowledged.

    --bisect is for what no listing shows, a malformed file under a valid name. It assumes that what is wrong in a state
    stays wrong in all later ones, checks few of them, and goes on where an earlier run was interrupted.

    --snapshots shows restic's time of each snapshot, which the machine chooses, beside that of its upload.
    """
    if rules:
        _print_rules(app)
        return
    if location is None:
        raise UsageError("which bucket is to be audited?", hint="write `rwm audit BUCKET` or `rwm audit BUCKET/PREFIX`")
    _check_options(ack, note, bisects=bisects, again=again, snapshots=snapshots, limit=limit)
    if page is not None:
        check_page_option(page, prints=app.json or bisects or snapshots)
    if withdraw is not None:
        _withdraw(app, location, withdraw)
    report = _audit(app, location, ack, note or "", capture=capture)
    if page is not None:
        output_page(report, page)
    if bisects:
        bisect(app, report, again=again)
    elif snapshots:
        print_snapshots(app, report, limit or DEFAULT_STATES)
    elif app.json:
        console.print_json(report_json(report))
    elif str(page) != "-":
        print_report(report, show_all=show_all)
    if report.open_proofs:
        raise CheckFailed(f"{location}: {console.format_count(report.open_proofs, 'proof')} of an attack or a fault")


def _check_options(
    ack: str | None, note: str | None, *, bisects: bool, again: bool, snapshots: bool, limit: int | None
) -> None:
    """Refuse options that do not go together."""
    if (ack is None) != (note is None):
        raise UsageError("--ack and --note go together", hint='write --ack ID --note "why it is honest"')
    if again and not bisects:
        raise UsageError("--again goes together with --bisect")
    if bisects and snapshots:
        raise UsageError("--bisect and --snapshots print two results", hint="run the command once for each")
    if limit is not None and not snapshots:
        raise UsageError("--states goes together with --snapshots")


def _audit(app: App, location: Location, ack: str | None, note: str, *, capture: bool) -> AuditReport:
    """Audit, with what is acknowledged; capture the last clean state if that is wanted and none is recorded."""
    report = run_audit(app, location) if ack is None else _audit_and_acknowledge(app, location, ack, note)
    if capture and report.last_clean is None:
        report = capture_quiet_second(app, report)
    return report


def _audit_and_acknowledge(app: App, location: Location, what: str, note: str) -> AuditReport:
    """Audit as if ``what`` was acknowledged, and record that if it was found. One listing."""
    from rwm.trust import CODES

    if not note.strip():
        raise UsageError("an acknowledgement needs a note", hint="say in --note why it is honest")
    judged = Acknowledgement(what, 0, int(time.time()) * SECOND, note)

    def acknowledge(report: AuditReport) -> None:
        known = {finding.id for finding in report.findings}
        if what not in CODES and what not in known and not is_snapshot_finding(app, report, what):
            raise UsageError(
                f"{what!r} is neither a finding of {location} nor a code",
                hint=f"`rwm audit {quote(location)}` shows the ids and codes",
            )
        app.index.audits.acknowledge(location.bucket, judged._replace(until=report.audit.until))
        app.close_index()  # one that was opened for reading may have no later changes

    return run_audit(app, location, judged, acknowledge)


def _withdraw(app: App, location: Location, what: str) -> None:
    if not app.index.audits.withdraw(location.bucket, what):
        raise UsageError(f"{what!r} was not acknowledged in {location.bucket}")


def _print_rules(app: App) -> None:
    from rwm.trust import RULES

    if app.json:
        console.print_json([rule._asdict() for rule in RULES])
        return
    for rule in RULES:
        click.echo(f"{rule.code} ({rule.level}): {rule.what}\n  {rule.why}")
