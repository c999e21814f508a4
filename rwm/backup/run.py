"""A backup run: hooks and restic for each entry, retention, a state that records the outcome, a quick audit."""

from __future__ import annotations

import time
from collections.abc import Callable

from rwm import process, restic
from rwm.backup.file_counts import FileCountHistory
from rwm.backup.hooks import run_hooks
from rwm.backup.preflight import bucket_warnings
from rwm.backup.quick_audit import audit_quickly
from rwm.backup.report import BackupResult, Report
from rwm.backup.sources import missing_sources, unmet_requirement
from rwm.config import BackupConfig, Config
from rwm.errors import Refused, RwmError
from rwm.index import Index
from rwm.location import Location
from rwm.model import Outcome, StateInfo
from rwm.phrases import format_count
from rwm.s3 import S3
from rwm.shell import quote
from rwm.states import capture_state
from rwm.storage import is_strict

Notify = Callable[[str], None]
"""Receives each status line of a run."""

_SHOWN = 10
"""Findings of the audit that are reported one by one."""

NOT_STARTED = 127
"""The exit code that shells report for a program that could not be started."""


def run_backups(
    config: Config,
    backups: dict[str, BackupConfig],
    s3: S3,
    open_index: Callable[[], Index],
    notify: Notify,
    on_line: restic.OnLine | None = None,
) -> Report:
    """Run the backups one after the other; a failed one does not stop the others.

    Retention is applied only if all succeeded. A state is captured whatever the outcome, and records it; then the
    bucket is audited quickly.
    The caller holds the lock. Raises only what makes every backup impossible (no restic, no password).
    """
    location = config.location
    report = Report(warnings=bucket_warnings(s3, location))
    restic.restic_environment(config)  # raises ConfigError
    process.find_program("restic")
    for warning in report.warnings:
        notify(f"warning: {warning}")
    history = FileCountHistory(open_index, location)
    for name, backup in backups.items():
        report.backups.append(_run_backup(config, name, backup, history, notify, on_line))
    if config.retention:
        _apply_retention(config, s3, report, notify, on_line)
    _check_versioning(s3, location, report, notify)
    _capture(s3, location, open_index, report, notify)
    if report.state and config.audit.after_backup:
        _audit(config, s3, open_index, report.state, report, notify)
    return report


def _run_backup(
    config: Config,
    name: str,
    backup: BackupConfig,
    history: FileCountHistory,
    notify: Notify,
    on_line: restic.OnLine | None,
) -> BackupResult:
    """Run prerun, restic and postrun. A failed prerun skips restic; postrun is always run, because it cleans up.

    SIGINT, SIGTERM and SIGHUP end the command that runs, then postrun is run, then the signal is raised. postrun
    itself is not interrupted.
    """
    started = time.monotonic()
    notify(f"backup {name}")

    def postrun(outcome: Outcome) -> str:
        variables = {"RWM_BACKUP": name, "RWM_BACKUP_OUTCOME": outcome}
        return run_hooks("postrun", backup.postrun, variables, notify, on_line, forward_signals=False)

    with process.defer_signals() as raise_deferred:
        try:
            prerun_failure = run_hooks("prerun", backup.prerun, {"RWM_BACKUP": name}, notify, on_line)
            raise_deferred()
            result, exit_code, files = _run_sources(config, name, backup, prerun_failure, history, on_line)
        except BaseException:  # a signal: undo what prerun did (a snapshot, a stopped service)
            if postrun_failure := postrun("failed"):
                notify(f"error: {postrun_failure}")
            raise
        postrun_failure = postrun(result.outcome)
    outcome: Outcome = "partial" if postrun_failure and result.outcome == "ok" else result.outcome
    detail = "; ".join(text for text in (result.detail, postrun_failure) if text)
    return BackupResult(name, outcome, exit_code, time.monotonic() - started, detail, files)


def _run_sources(
    config: Config,
    name: str,
    backup: BackupConfig,
    prerun_failure: str,
    history: FileCountHistory,
    on_line: restic.OnLine | None,
) -> tuple[restic.Result, int | None, int | None]:
    """Check the sources and run restic: its result, its exit code (None if it was not run), and the files processed."""
    unmet = prerun_failure or unmet_requirement(backup)
    if unmet:
        return restic.Result("failed", 0, unmet), None, None
    missing = missing_sources(backup.filesdirs)
    result, files = _run_restic_backup(config, restic.backup_arguments(name, backup, config), on_line)
    # restic skips what is not there, backs up an empty mountpoint, and ends with 0.
    problems = [text for text in (*missing, history.compare(name, files)) if text]
    if not problems:
        return result, result.exit_code, files
    outcome: Outcome = "partial" if result.outcome == "ok" else result.outcome
    detail = "; ".join(text for text in (result.detail, *problems) if text)
    return restic.Result(outcome, result.exit_code, detail), result.exit_code, files


def _run_restic_backup(
    config: Config, arguments: list[str], on_line: restic.OnLine | None
) -> tuple[restic.Result, int | None]:
    """Run ``restic backup``; failure to start it (arguments too long) is a failed result too."""
    try:
        return restic.run_backup(config, arguments, on_line)
    except RwmError as error:
        return restic.Result("failed", NOT_STARTED, error.message), None


def _apply_retention(config: Config, s3: S3, report: Report, notify: Notify, on_line: restic.OnLine | None) -> None:
    if report.outcome != "ok":
        notify("retention is not applied, because not every backup succeeded")
        return
    try:
        strict = is_strict(s3, config.location)
    except RwmError as error:
        report.forget = restic.Result("failed", NOT_STARTED, error.message)
        return
    if strict:  # restic 0.14 would retry for minutes
        notify(
            f"retention is not applied: {config.location} is strict, this machine may delete only restic's locks; "
            f"the admin runs rwm forget {config.location}"
        )
        return
    if not any(name.startswith("keep-within") for name in config.retention):
        report.warnings.append("retention has no keep-within: many forged snapshots could push out the real ones")
        notify(f"warning: {report.warnings[-1]}")
    notify("apply retention (restic forget --prune)")
    try:
        report.forget = restic.run_restic(config, restic.forget_arguments(config), on_line)
    except RwmError as error:
        report.forget = restic.Result("failed", NOT_STARTED, error.message)


def _capture(s3: S3, location: Location, open_index: Callable[[], Index], report: Report, notify: Notify) -> None:
    notify(f"capture the state of {location}")
    try:
        report.state = capture_state(s3, open_index(), location, origin="backup", outcome=report.outcome)
    except Refused as error:  # a bucket without versioning: the backup itself is complete
        report.warnings.append(f"no state was captured: {error.message}")
        notify(f"warning: {report.warnings[-1]}")
    except (RwmError, OSError) as error:  # OSError: no space for the spool
        report.errors.append(f"no state was captured: {error}")
        notify(f"error: {report.errors[-1]}")
        if isinstance(error, RwmError) and error.hint:
            notify(f"  {error.hint}")


def _check_versioning(s3: S3, location: Location, report: Report, notify: Notify) -> None:
    """Note whether the bucket has versioning now, if that can be read."""
    try:
        state = s3.versioning(location.bucket)
    except RwmError:
        return
    report.is_versioned = state == "Enabled"
    if not report.is_versioned:
        notify(f"error: versioning of bucket {location.bucket} is {state or 'off'}: what is overwritten is lost")


def _audit(
    config: Config, s3: S3, open_index: Callable[[], Index], state: StateInfo, report: Report, notify: Notify
) -> None:
    """Audit the location. A failure is a warning: the backup is complete."""
    notify(f"audit {state.location}")
    try:
        report.audit = found = audit_quickly(s3, open_index(), config, state)
    except (RwmError, OSError) as error:
        report.warnings.append(f"the bucket was not audited: {error}")
        notify(f"warning: {report.warnings[-1]}")
        return
    if found is None:
        return
    for finding in found.findings[:_SHOWN]:
        notify(f"{finding.rule.level}: {finding.rule.code}: {finding.detail}: {finding.key}")
    if found.proofs:
        notify(
            f"error: {format_count(found.proofs, 'proof')} of an attack or a fault in the bucket: "
            f"`rwm audit {quote(state.location)}` shows them and the last clean state"
        )
