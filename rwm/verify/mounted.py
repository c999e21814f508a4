"""Run ``restic check`` on a mount of a state that exists for the check only."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rwm import process
from rwm.config import Config
from rwm.errors import MountError, PartlyDone, RwmError, Unreachable
from rwm.location import Location
from rwm.model import StateInfo
from rwm.repositories import RepositoryCount
from rwm.restic import OnLine, local_environment, opens_no_key
from rwm.s3 import S3
from rwm.verify.bisection import Outcome
from rwm.verify.report import Problem, VerifyReport

WRONG_PASSWORD = "the configured password opens no key of the repository"  # noqa: S105 - a message

_PASSWORD_HINT = "a state has the passwords of its time: configure the one that was valid then"  # noqa: S105
_ONE_PASSWORD_HINT = "name the prefix of a repository that has the configured password"  # noqa: S105
_UNMOUNT_SECONDS = 30.0
_POLL = 0.05  # seconds
MAX_LINES = 100
"""Lines of restic's errors that are kept for each repository."""


@dataclass
class RepositoryCheck:
    """The result for a repository: its ``errors``, or why nothing is known. Without both it passed the check.

    ``has_crashed``: nothing is known because a signal ended restic.
    """

    repository: RepositoryCount
    errors: list[str] = field(default_factory=list)
    unknown: str = ""
    has_crashed: bool = False


def check_with_restic(
    config: Config,
    info: StateInfo,
    repositories: Sequence[RepositoryCount],
    percent: float | None,
    on_line: OnLine,
    is_answering: Callable[[], bool],
) -> list[RepositoryCheck]:
    """Mount the state with ``rwmfs``, check each repository with the configured password, and unmount.

    ``percent`` of the packs are read, at random; None: none of them. ``is_answering`` tells whether the server answers,
    without which an error of restic says nothing. Mount and caches are in a private temporary directory.

    Raises CommandMissing, ConfigError without a password, MountError, and RwmError if it opens no repository.
    """
    restic, environment = process.find_program("restic"), local_environment(config)
    with mounted_state(config, info) as mount:
        checks = [
            _check(
                [restic, "-r", str(mount.path / one.prefix[len(info.prefix) :]), f"--cache-dir={mount.cache}"],
                environment,
                one,
                percent,
                on_line,
                lambda: mount.is_alive() and is_answering(),
            )
            for one in repositories
        ]
    if all(check.unknown == WRONG_PASSWORD for check in checks):
        raise RwmError(f"state {info.short}: {WRONG_PASSWORD}", hint=_PASSWORD_HINT)
    return checks


def judge_checks(info: StateInfo, checks: Sequence[RepositoryCheck]) -> Outcome:
    """The outcome for a state by those of its repositories. Raises PartlyDone if one of them could not be checked."""
    if any(check.errors for check in checks):
        return "failed"
    if any(check.has_crashed for check in checks):
        return "crashed"
    for check in checks:
        if check.unknown:
            where = Location(info.bucket, check.repository.prefix)
            hint = _ONE_PASSWORD_HINT if check.unknown == WRONG_PASSWORD else "run it again later: it goes on"
            raise PartlyDone(f"state {info.short}, {where}: {check.unknown}", hint=hint)
    return "passed"


def server_answers(s3: S3, bucket: str) -> bool:
    """Whether the server answers now: without it, an error of restic says nothing."""
    try:
        s3.server_time(bucket)
    except Unreachable:
        return False
    return True


def report_checks(checks: Sequence[RepositoryCheck], report: VerifyReport) -> None:
    """Report each error of restic, and each repository that could not be checked; their key is the repository's."""
    for check in checks:
        prefix, _, size = check.repository
        for error in check.errors:
            report.add(Problem("wrong", prefix, "", error))
        if check.unknown:
            report.add(Problem("unchecked", prefix, "", check.unknown))
        elif not check.errors:
            report.checked += 1
            report.bytes += size


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted state, and a directory for restic's cache."""

    path: Path
    cache: Path
    daemon: process.Daemon

    def is_alive(self) -> bool:
        """Whether it answers: a process that was killed may not have ended yet."""
        try:
            next(self.path.iterdir(), None)
        except OSError:
            return False
        return self.daemon.running()


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    try:
        directory = tempfile.TemporaryDirectory(prefix="rwm-verify-", ignore_cleanup_errors=True)
    except OSError as error:
        raise MountError(f"no temporary directory could be made: {error.strerror}", hint="set TMPDIR") from error
    with directory as name:
        yield Path(name)


@contextlib.contextmanager
def mounted_state(config: Config, info: StateInfo) -> Iterator[Mount]:
    """A mount of the state for the block, in a private temporary directory. It ends with this process.

    Without the disk cache, which would answer in place of the bucket. Raises MountError.
    """
    with _temporary_directory() as directory, _mounted(config, info, directory) as mount:
        yield mount


@contextlib.contextmanager
def _mounted(config: Config, info: StateInfo, directory: Path) -> Iterator[Mount]:
    path = directory / "repository"
    cache = directory / "cache"
    path.mkdir(mode=0o700)
    cache.mkdir(mode=0o700)  # restic makes none for its check
    program = process.find_beside_python("rwmfs") or process.find_program("rwmfs")
    arguments = ["mount", str(info.location), "--at", info.id, str(path), "--foreground", "--cache-size", "0"]
    chosen = ["-c", str(config.path)] if config.path else []
    with process.spawn([program, *chosen, *arguments], log_path=directory / "mount.log") as daemon:
        try:
            _wait_until_mounted(path, daemon)
            yield Mount(path, cache, daemon)
        finally:
            daemon.stop(_UNMOUNT_SECONDS)
            _remove_dead_mount(path)


def _wait_until_mounted(path: Path, daemon: process.Daemon) -> None:
    while not path.is_mount():
        if not daemon.running():
            raise _mount_error(daemon)
        time.sleep(_POLL)


def _mount_error(daemon: process.Daemon) -> MountError:
    """The error that rwmfs printed at its end, with its hint and its exit code."""
    lines = [line.strip() for line in daemon.log_tail(2).splitlines()]
    found = [number for number, line in enumerate(lines) if line.startswith("rwmfs: ")]
    why, *hints = lines[found[-1] :] if found else ["the mount process ended"]
    error = MountError(f"the state could not be mounted: {why.removeprefix('rwmfs: ')}", hint=" ".join(hints))
    error.exit_code = daemon.stop() or error.exit_code
    return error


def _remove_dead_mount(path: Path) -> None:
    """Remove what a killed mount leaves; nothing after one that has ended by itself."""
    with contextlib.suppress(RwmError):
        process.run(["fusermount3", "-u", "-z", "-q", str(path)], timeout=_UNMOUNT_SECONDS)


def _check(
    command: Sequence[str],
    environment: dict[str, str],
    repository: RepositoryCount,
    percent: float | None,
    on_line: OnLine,
    is_answering: Callable[[], bool],
) -> RepositoryCheck:
    subset = [] if percent is None else ["--read-data" if percent == 100 else f"--read-data-subset={percent:g}%"]
    done = process.stream([*command, "check", *subset], env=environment, on_line=on_line)
    if done.returncode == 0:
        return RepositoryCheck(repository)
    if opens_no_key(done):
        return RepositoryCheck(repository, unknown=WRONG_PASSWORD)
    if done.returncode < 0:
        unknown = f"restic was ended by signal {-done.returncode}"
        return RepositoryCheck(repository, unknown=unknown, has_crashed=True)
    if not is_answering():
        return RepositoryCheck(repository, unknown="restic failed while the mount could not read from the server")
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return RepositoryCheck(repository, lines[:MAX_LINES] or [f"restic check failed (exit code {done.returncode})"])
