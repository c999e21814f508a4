"""``rwm audit --snapshots``: the snapshots of states, with restic's times beside the server's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.audit_report import finding_json
from rwm.console import App
from rwm.errors import PartlyDone
from rwm.model import Entry, StateInfo
from rwm.times import iso, iso_second

if TYPE_CHECKING:
    from rwm.restic import Snapshot
    from rwm.trust import AuditReport, Finding

DEFAULT_STATES = 10


@dataclass
class SnapshotFile:
    """A version of a snapshot's file, and what restic says of it; ``snapshot`` is None if it could not be read."""

    root: str
    entry: Entry
    snapshot: Snapshot | None = None

    @property
    def id(self) -> str:
        """The snapshot's id, which is the name of its file."""
        return self.entry.key.rpartition("/")[2]


@dataclass
class SnapshotHistory:
    """The snapshot files of states, newest state first; each version of a file is read once."""

    files: dict[tuple[str, str], SnapshotFile] = field(default_factory=dict)
    states: list[tuple[StateInfo, list[SnapshotFile]]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Snapshot files of which nothing is known."""
        return sum(file.snapshot is None for file in self.files.values())


def print_snapshots(app: App, report: AuditReport, limit: int) -> None:
    """Read and print the snapshots of the newest states. Raises PartlyDone if some could not be read."""
    history = read_history(app, report, limit)
    if app.json:
        console.print_json(history_json(report, history))
    else:
        _print(history)
    if history.unread:
        count = console.format_count(history.unread, "snapshot")
        raise PartlyDone(f"{report.audit.location}: {count} could not be read", hint="; ".join(history.errors[:1]))


def read_history(app: App, report: AuditReport, limit: int) -> SnapshotHistory:
    """The snapshots of the newest states; only states with a file that is in no newer one are mounted."""
    history = SnapshotHistory()
    for item in report.states[: -limit - 1 : -1]:
        info = item.state.info
        roots = [one.root for one in report.audit.repositories if one.root.startswith(info.prefix)]
        of_state, new = [], []
        for root in roots:
            for entry in _snapshot_entries(app, info, root):
                file = history.files.get((entry.key, entry.version_id))
                if file is None:
                    file = history.files[entry.key, entry.version_id] = SnapshotFile(root, entry)
                    new.append(file)
                of_state.append(file)
        history.states.append((info, of_state))
        if new:
            _read(app, info, new, history)
    _judge(report, history)
    return history


def is_snapshot_finding(app: App, report: AuditReport, finding_id: str) -> bool:
    """Whether the id is that of a finding about a snapshot of any judged state. Needs no password: nothing is read."""
    from rwm.trust import snapshot_finding_id

    return any(
        snapshot_finding_id(audit.root, entry) == finding_id
        for item in reversed(report.states)
        for audit in report.audit.repositories
        if audit.root.startswith(item.state.info.prefix)
        for entry in _snapshot_entries(app, item.state.info, audit.root)
    )


def _snapshot_entries(app: App, info: StateInfo, root: str) -> Iterator[Entry]:
    """The snapshot files of a state's repository; files with foreign names are none."""
    from rwm.verify import is_snapshot_name

    directory = f"{root}snapshots/"
    entries = app.readonly_index.entries(info, directory)
    return (entry for entry in entries if is_snapshot_name(entry.key[len(directory) :]))


def _read(app: App, info: StateInfo, files: list[SnapshotFile], history: SnapshotHistory) -> None:
    """Read the files, all of one state."""
    from rwm import verify

    wanted: dict[str, list[str]] = {}
    for file in files:
        wanted.setdefault(file.root, []).append(file.id)
    short = info.short
    console.print_note(f"reading {console.format_count(len(files), 'snapshot')} of state {short}")
    found = verify.read_snapshots(app.config, info, wanted)
    if len(history.states) == 1:
        verify.require_password(found, info)
    history.errors += [f"state {short}: {one.error}" for one in found.values() if one.error]
    for file in files:
        file.snapshot = found[file.root].snapshots.get(file.id)


def _judge(report: AuditReport, history: SnapshotHistory) -> None:
    from rwm.trust import judge_snapshot_time

    for file in history.files.values():
        if file.snapshot is not None:
            found = judge_snapshot_time(file.root, file.entry, file.snapshot.time)
            history.findings += [one for one in found if one.rule.code not in report.audit.settings.except_codes]


def history_json(report: AuditReport, history: SnapshotHistory) -> dict[str, Any]:
    """The result as docs/scripts.md describes it."""
    return {
        "bucket": report.audit.location.bucket,
        "prefix": report.audit.location.prefix,
        "states": [
            {"id": info.id, "captured_at": iso(info.captured_at), "snapshots": [file.id for file in files]}
            for info, files in history.states
        ],
        "snapshots": [_file_json(file) for file in history.files.values()],
        "findings": [finding_json(report.audit, finding) for finding in history.findings],
        "errors": history.errors,
    }


def _file_json(file: SnapshotFile) -> dict[str, Any]:
    known = file.snapshot
    return {
        "id": file.id,
        "repository": file.root,
        "version_id": file.entry.version_id,
        "uploaded_at": iso(file.entry.last_modified),
        "time": iso(known.time) if known else None,
        "host": known.host if known else None,
        "paths": list(known.paths) if known else None,
    }


def _print(history: SnapshotHistory) -> None:
    """Each snapshot once, below the newest state that has it."""
    shown: set[int] = set()
    unusual = {(finding.key, finding.version_id): finding.detail for finding in history.findings}
    for info, files in history.states:
        new = [file for file in files if id(file) not in shown]
        shown.update(map(id, new))
        short, count = info.short, console.format_count(len(files), "snapshot")
        beside = f", {len(files) - len(new)} of them above" if len(new) < len(files) else ""
        click.echo(f"state {short} of {iso(info.captured_at)}: {count}{beside}")
        if new:
            rows = [_row(file, unusual.get((file.entry.key, file.entry.version_id), "")) for file in new]
            console.print_table(["snapshot", "restic's time", "uploaded", "host", "paths", ""], rows)


def _row(file: SnapshotFile, detail: str) -> tuple[str, ...]:
    known, uploaded = file.snapshot, iso_second(file.entry.last_modified)
    if known is None:
        return console.escape(file.id[:8]), "not readable", uploaded, "", "", ""
    time = iso_second(known.time)
    return console.escape(file.id[:8]), time, uploaded, console.escape(known.host), _paths(known), detail


def _paths(snapshot: Snapshot) -> str:
    return console.escape(", ".join(snapshot.paths))
