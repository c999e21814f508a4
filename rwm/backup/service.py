"""Backup: hooks and restic for each entry, then retention, then a state that carries the outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rwm import process, restic
from rwm.config import BackupConfig, Config
from rwm.errors import AccessDenied, Refused, RwmError, UsageError
from rwm.index import Index
from rwm.model import Outcome, StateInfo
from rwm.s3 import S3
from rwm.states import capture_state
from rwm.storage import check_storage

Say = Callable[[str], None]

NOT_STARTED = 127  # the exit code that a shell gives a program which cannot be started


@dataclass(frozen=True, slots=True)
class BackupResult:
    """One entry of ``backups`` after its run. ``exit_code`` is restic's, None when it did not run."""

    name: str
    outcome: Outcome
    exit_code: int | None
    seconds: float
    detail: str = ""


@dataclass
class Report:
    """A whole run. ``forget`` is None when retention was not applied; ``state`` when none was captured."""

    backups: list[BackupResult] = field(default_factory=list)
    forget: restic.Result | None = None
    state: StateInfo | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """Of all backups together."""
        return combined(result.outcome for result in self.backups)

    @property
    def exit_code(self) -> int:
        """0: all done; 1: no backup was made; 3: some of it."""
        if self.outcome == "failed":
            return 1
        forgotten = self.forget is None or self.forget.outcome == "ok"
        return 0 if self.outcome == "ok" and forgotten and not self.errors else 3


def combined(outcomes: Iterable[Outcome]) -> Outcome:
    """ok when all are, failed when all are, partial otherwise."""
    different = set(outcomes)
    if len(different) == 1:
        return different.pop()
    return "partial" if different else "failed"


def selected(config: Config, names: Sequence[str], *, everything: bool) -> dict[str, BackupConfig]:
    """The entries to run, in the order asked for. Raises UsageError for an unknown name and for none at all."""
    if everything == bool(names):
        raise UsageError("name the backups to run, or say --all", hint=_known(config))
    unknown = [name for name in names if name not in config.backups]
    if unknown:
        raise UsageError(f"no backup is called {', '.join(unknown)} in {config.path}", hint=_known(config))
    chosen = {name: config.backups[name] for name in (config.backups if everything else names)}
    if not chosen:
        raise UsageError(f"the configuration {config.path} has no backups", hint="add some under `backups:`")
    return chosen


def _known(config: Config) -> str:
    return f"the configuration knows: {', '.join(config.backups) or 'none'}"


def run_backups(
    config: Config,
    backups: dict[str, BackupConfig],
    s3: S3,
    open_index: Callable[[], Index],
    say: Say,
    on_line: restic.OnLine | None = None,
) -> Report:
    """Run the backups one after the other; one that fails never keeps another from running.

    Retention is applied only when all succeeded. A state is captured in the end whatever the outcome, and records it.
    The caller holds the lock. Raises only what makes every backup impossible (no restic, no password).
    """
    report = Report(warnings=_storage_warnings(config, s3))
    restic.environment(config)
    process.find("restic")
    for warning in report.warnings:
        say(f"warning: {warning}")
    for name, backup in backups.items():
        report.backups.append(_one(config, name, backup, say, on_line))
    if config.retention:
        _forget(config, report, say, on_line)
    _capture(config, s3, open_index, report, say)
    return report


def _storage_warnings(config: Config, s3: S3) -> list[str]:
    bucket = config.required("restic_bucket")
    try:
        if not s3.bucket_exists(bucket):
            return [
                f"bucket {bucket} does not exist yet: `rwm restic init` makes a plain one, an admin a protected one"
            ]
        drift = [item.detail for item in check_storage(s3, bucket)]
        if _owns(s3, bucket):
            drift.append("it belongs to the account that backs up, which can undo every protection")
    except RwmError as error:
        return [f"bucket {bucket} could not be checked: {error.message}"]
    return [f"bucket {bucket}: {detail}" for detail in drift]


def _owns(s3: S3, bucket: str) -> bool:
    try:
        return s3.acl(bucket)[0] == s3.owner_id()
    except AccessDenied:  # on AWS a machine's account may see neither, and then it is not the owner
        return False


def _one(config: Config, name: str, backup: BackupConfig, say: Say, on_line: restic.OnLine | None) -> BackupResult:
    """prerun, restic, postrun. A failed prerun skips restic; postrun is run in any case: it cleans up.

    That goes for SIGINT, SIGTERM and SIGHUP too: the child ends, postrun is run, and then the signal acts.
    """
    started = time.monotonic()
    say(f"backup {name}")

    def postrun(outcome: Outcome) -> str:
        after = {"RWM_BACKUP": name, "RWM_BACKUP_OUTCOME": outcome}
        return _hooks("postrun", backup.postrun, after, say, on_line)

    try:
        detail = _hooks("prerun", backup.prerun, {"RWM_BACKUP": name}, say, on_line)
        if detail:
            result = restic.Result("failed", 0, detail)
        else:
            result = _restic(config, restic.backup_arguments(name, backup, config), on_line)
    except BaseException:  # a signal: what prerun began (a snapshot, a stopped service) must not stay
        if failed := postrun("failed"):
            say(f"error: {failed}")
        raise
    code = None if detail else result.exit_code
    failed = postrun(result.outcome)
    outcome: Outcome = "partial" if failed and result.outcome == "ok" else result.outcome
    details = "; ".join(text for text in (result.detail, failed) if text)
    return BackupResult(name, outcome, code, time.monotonic() - started, details)


def _restic(config: Config, arguments: list[str], on_line: restic.OnLine | None) -> restic.Result:
    """Run restic; one that cannot even be started (arguments too long) is a failure like any other."""
    try:
        return restic.run_restic(config, arguments, on_line)
    except RwmError as error:
        return restic.Result("failed", NOT_STARTED, error.message)


def _hooks(
    kind: str, commands: Sequence[str], variables: dict[str, str], say: Say, on_line: restic.OnLine | None
) -> str:
    """Run the shell commands up to the first that fails; says which, or nothing.

    By its number: a command line may hold secrets, and what is said here ends in logs and mails.
    """
    for number, command in enumerate(commands, 1):
        which = f"{kind} {number} of {len(commands)}"
        say(which)
        try:
            code = process.shell(command, env=os.environ | variables, on_line=on_line).returncode
        except RwmError as error:
            return f"{which} failed: {error.message}"
        if code:
            return f"{which} failed with exit code {code}"
    return ""


def _forget(config: Config, report: Report, say: Say, on_line: restic.OnLine | None) -> None:
    if report.outcome != "ok":
        say("retention is not applied, because not every backup succeeded")
        return
    if not any(name.startswith("keep-within") for name in config.retention):
        report.warnings.append("retention has no keep-within: a burst of false snapshots would push out the true ones")
        say(f"warning: {report.warnings[-1]}")
    say("forget and prune by retention")
    report.forget = _restic(config, restic.forget_arguments(config.retention), on_line)


def _capture(config: Config, s3: S3, open_index: Callable[[], Index], report: Report, say: Say) -> None:
    bucket = config.required("restic_bucket")
    say(f"capture the state of {bucket}")
    try:
        report.state = capture_state(s3, open_index(), bucket, origin="backup", outcome=report.outcome)
    except Refused as error:  # a plain bucket: the backup is as good as it can be there
        report.warnings.append(f"no state was captured: {error.message}")
        say(f"warning: {report.warnings[-1]}")
    except (RwmError, OSError) as error:  # OSError: no room for the spool
        report.errors.append(f"no state was captured: {error}")
        say(f"error: {report.errors[-1]}")
