"""``rwm recover``: from a bucket that was attacked to a mount of its last clean state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.audit_run import audit_versions, capture_quiet_second, judge_states, none_is_clean
from rwm.cli.shared_options import LOCATION_ARGUMENT
from rwm.cli.state_restore import raise_failures, restore_part
from rwm.cli.state_sync import compare_states, fetch_states
from rwm.console import NEW_DIRECTORY, STATE, App, common_options, pass_app
from rwm.errors import BadResponse, CheckFailed, UsageError
from rwm.location import Location
from rwm.model import LAST_CLEAN, StateInfo
from rwm.shell import quote
from rwm.times import iso, iso_second

if TYPE_CHECKING:
    from rwm.recover import Choice
    from rwm.restore import RestoreResult, StatePart
    from rwm.s3.listing import Lister
    from rwm.states import KeptListing, StateFile
    from rwm.trust import AuditReport

_CODES = 3
"""Codes of proofs that are named."""


@dataclass
class _Recovery:
    """What is reported. ``second`` is that of the state, also of one that would have to be captured first."""

    report: AuditReport
    state: StateInfo | None
    second: int
    why: str
    captured: bool = False
    mountpoint: Path | None = None
    directory: Path | None = None
    commands: list[str] = field(default_factory=list)


@click.command(short_help="Mount the last clean state, and say what happened.")
@common_options
@LOCATION_ARGUMENT
@click.argument("mountpoint", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--to-dir", type=NEW_DIRECTORY, metavar="DIR", help="Download it instead, into a new DIR.")
@click.option("--at", metavar="STATE", type=STATE, help="Use this state: an id or its start, latest, or a UTC time.")
@pass_app
def recover(app: App, location: Location, mountpoint: Path | None, to_dir: Path | None, at: str | None) -> None:
    """Choose the last clean state of BUCKET, and mount it at MOUNTPOINT.

    Fetches the states (as `rwm state sync`), judges them (as `rwm audit`), takes the newest clean one, or captures it
    from the bucket's history, and mounts it. Prints what happened when, which state it is and why, what is not in it,
    and the restic commands that restore from it. Without MOUNTPOINT and --to-dir it only says what it would do. Exit
    code 4 if no clean state is known.
    """
    from rwm.recover import check_mountpoint
    from rwm.restore import check_target

    if mountpoint is not None and to_dir is not None:
        raise UsageError("a mountpoint and --to-dir are both given", hint="mount it, or download it")
    if mountpoint is not None:
        mountpoint = mountpoint.absolute()
        check_mountpoint(mountpoint)
    if to_dir is not None:
        check_target(to_dir)
    found = _recover(app, location, at, capture=mountpoint is not None or to_dir is not None)
    if found.state is not None:
        app.index.check_ids([found.state])
    if to_dir is not None:
        check_target(to_dir, _part(app, found))
    if not app.json:
        console.print_lines(_describe(found))
    downloaded = None
    if mountpoint is not None:
        _mount(app, found, mountpoint)
    elif to_dir is not None:
        downloaded = _download(app, found, to_dir)
    elif not app.json:
        chosen = f" --at {quote(at)}" if at else ""
        click.echo("nothing is mounted; mount it with:")
        console.print_command(f"rwm recover {quote(location)} /mnt/repo{chosen}")
    if app.json:
        console.print_json(_recovery_json(found))
    if downloaded is not None:
        raise_failures(*downloaded)


def _recover(app: App, location: Location, at: str | None, *, capture: bool) -> _Recovery:
    """Fetch the states, audit, compare, and choose a state; all by one listing. With ``capture`` it is recorded."""
    from rwm.s3.listing import RecordedLister
    from rwm.states import KeptListing

    files = _fetch(app, location)
    known = {state.info.id for state in app.index.recorded(location)}
    with closing(RecordedLister(app.s3)) as lister:
        audit = audit_versions(app, location, lister)
        kept = KeptListing(lister, known)
        missing = {} if files is None else _compare(app, location, files, kept)
        report = judge_states(app, audit, app.index, missing)
        if at is not None and at != LAST_CLEAN:
            return _find(app, report, at)
        return _choose(app, report, lister, capture=capture)


def _fetch(app: App, location: Location) -> list[StateFile] | None:
    """Fetch the states. What cannot be read is a warning: the audit and the history remain."""
    try:
        files, result = fetch_states(app, location)
    except BadResponse as error:
        console.warn(f"the states could not be read: {error.message}")
        return None
    more = f"`rwm state sync {quote(location)}` says more"
    if result.rejected:
        console.warn(f"not used: {console.format_count(len(result.rejected), 'state file')} of no state of it; {more}")
    if result.unread:
        console.warn(f"not readable: {console.format_count(len(result.unread), 'state file')}; {more}")
    return files


def _compare(app: App, location: Location, files: list[StateFile], kept: KeptListing) -> dict[str, int]:
    """Compare the states with what was listed for the audit; how many versions are gone, by id of states that lack any.

    What cannot be compared is a warning.
    """
    try:
        judged = compare_states(app, location, files, kept=kept)
    except BadResponse as error:
        console.warn(f"the states could not be compared with the bucket's history: {error.message}")
        return {}
    if contradicted := sum(one.verdict == "contradicted" for one in judged):
        console.warn(f"{console.format_count(contradicted, 'state')} contradicted by the bucket's history, not used")
    return {one.info.id: one.unknown for one in judged if one.unknown}


def _find(app: App, report: AuditReport, at: str) -> _Recovery:
    """The state that ``--at`` names."""
    location = report.audit.location
    state = app.index.resolve(at, location)
    if not state.location.covers(location):
        raise UsageError(f"state {state.short} is of {state.location}, which is a part only")
    verdict = next((item.verdict for item in report.states if item.state.info.id == state.id), "not known")
    return _Recovery(report, state, state.captured_at, f"--at names it, its verdict is {verdict}")


def _choose(app: App, report: AuditReport, lister: Lister, *, capture: bool) -> _Recovery:
    """The chosen state; with ``capture`` it is recorded. Raises CheckFailed if no clean one is known."""
    from rwm.recover import choose_state

    location = report.audit.location
    choice: Choice | None = choose_state(report)
    if choice is None:
        raise none_is_clean(location)
    if choice.state is not None:
        return _Recovery(report, choice.state, choice.state.captured_at, choice.why)
    assert choice.second is not None
    if not capture:
        return _Recovery(report, None, choice.second, choice.why)
    report = capture_quiet_second(app, report, choice.second, lister)
    captured = report.last_clean
    if captured is None:
        raise CheckFailed(f"{location}: the state of {iso(choice.second)} was captured, and is not clean")
    return _Recovery(report, captured, captured.captured_at, choice.why, captured=True)


def _mount(app: App, found: _Recovery, mountpoint: Path) -> None:
    from rwm.recover import mount_state

    assert found.state is not None
    location = found.report.audit.location
    app.close_index()
    for line in mount_state(app.config, found.state, location, mountpoint):
        console.print_note(line)
    found.mountpoint = mountpoint
    _add_commands(app, found, mountpoint)
    if not app.json:
        console.print_text(f"mounted at {mountpoint}; `rwmfs umount {quote(mountpoint)}` ends it")
        console.print_lines(_describe_commands(found))


def _download(app: App, found: _Recovery, directory: Path) -> tuple[StatePart, RestoreResult]:
    part = _part(app, found)
    result = restore_part(app, part, directory)
    found.directory = directory
    _add_commands(app, found, directory)
    if not app.json:
        size = console.format_size(result.bytes)
        click.echo(
            console.escape(f"downloaded {console.format_count(result.objects, 'object')}, {size}, to {directory}")
        )
        console.print_lines(_describe_commands(found))
    return part, result


def _part(app: App, found: _Recovery) -> StatePart:
    from rwm.restore import StatePart

    assert found.state is not None
    return StatePart(app.readonly_index, found.state, found.report.audit.location.prefix)


def _add_commands(app: App, found: _Recovery, directory: Path) -> None:
    from rwm.recover import repositories_of, restic_commands

    assert found.state is not None
    roots = [audit.root for audit in found.report.audit.repositories]
    repositories = repositories_of(app.readonly_index, found.state, found.report.audit.location, roots)
    found.commands = restic_commands(directory, repositories)


# --- text and JSON -----------------------------------------------------------------------------------


def _describe(found: _Recovery) -> Iterator[str]:
    """What happened, which state it is and why, and what is not in it: a line each."""
    audit = found.report.audit
    yield console.escape(f"{audit.location}: {_what_happened(found.report)}")
    if found.state is None:
        yield f"the last clean state is of {iso(found.second)}, to be captured from history: {found.why}"
    else:
        state = found.state
        contents = f"{console.format_count(state.objects, 'object')}, {console.format_size(state.bytes)}"
        whole = "" if state.location == audit.location else f" of {state.location}"
        origin = ", captured from history" if found.captured else ""
        named = f"state {state.short}{whole} of {iso(state.captured_at)} ({contents}){origin}"
        yield f"{named}: {found.why}, as of the audit of {iso_second(audit.now)}"
    written = audit.written_after(found.second)
    yield (
        f"written later and not in it: {console.format_count(written.snapshots, 'snapshot')}, "
        f"{console.format_size(written.bytes)}"
    )


def _what_happened(report: AuditReport) -> str:
    if not report.open_proofs:
        hints = len(report.open_findings)
        return "no proof of an attack" + (f", {console.format_count(hints, 'hint')}" if hints else "")
    counts = sorted(_proofs_by_code(report).items(), key=lambda item: -item[1])
    codes = ", ".join(f"{count} {code}" for code, count in counts[:_CODES]) + ", …" * (len(counts) > _CODES)
    return (
        f"{console.format_count(report.open_proofs, 'proof')} of an attack or a fault, the first at "
        f"{iso_second(report.first_proof)} ({codes})"
    )


def _proofs_by_code(report: AuditReport) -> dict[str, int]:
    """How many proofs of each code there are, acknowledged ones too."""
    from rwm.trust import RULES

    proofs = {rule.code for rule in RULES if rule.level == "proof"}
    return {code: count for code, count in report.counts.items() if code in proofs}


def _describe_commands(found: _Recovery) -> Iterator[str]:
    if not found.commands:
        yield "it has no restic repository"
        return
    yield "restore with the restic password of that time:"
    yield from (console.escape(f"  {command}") for command in found.commands)
    yield "latest is one snapshot; `snapshots --latest 1` lists that of each backup, to restore each by its id"


def _recovery_json(found: _Recovery) -> dict[str, Any]:
    audit = found.report.audit
    written = audit.written_after(found.second)
    return {
        "bucket": audit.location.bucket,
        "prefix": audit.location.prefix,
        "audited_at": iso(audit.now),
        "proofs": found.report.open_proofs,
        "first_proof": iso(found.report.first_proof) if found.report.open_proofs else None,
        "counts": found.report.counts,
        "state": None if found.state is None else console.state_json(found.state),
        "state_at": iso(found.second),
        "captured": found.captured,
        "why": found.why,
        "written_later": {"snapshots": written.snapshots, "bytes": written.bytes},
        "mountpoint": None if found.mountpoint is None else str(found.mountpoint),
        "directory": None if found.directory is None else str(found.directory),
        "commands": found.commands,
    }
