"""Run restic and aws: arguments and exit codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from rwm import process
from rwm.config import BackupConfig, Config
from rwm.model import Outcome
from rwm.restic.environment import aws_environment, restic_environment, restic_options
from rwm.restic.failure import explain_failure
from rwm.restic.summary import processed_files
from rwm.restic.version import knows_retry_lock

_MEANING = {  # restic's documentation, "Exit codes"; 10 to 12 since restic 0.17
    1: "restic failed",
    10: "the repository does not exist: run `rwm restic init` once",
    11: "the repository is locked by another run",
    12: "the password is wrong (an older state needs the password of its time)",
    130: "restic was interrupted",
}

_PARTIAL = {"backup": "some files could not be read", "forget": "some snapshots could not be removed"}  # exit code 3

RETRY_LOCK = "5m"
"""How long restic waits for a lock of another host: longer than a backup holds one against forget in most cases."""

OnLine = Callable[[str, str], None]
"""Called with the name of a stream and a line of it."""


class Result(NamedTuple):
    """How restic ended. ``detail`` describes a failure; it is empty after success."""

    outcome: Outcome
    exit_code: int
    detail: str


def exec_restic(config: Config, arguments: list[str]) -> NoReturn:
    """Replace this process by restic, so that output, signals and the terminal are restic's own."""
    program = process.find_program("restic")
    given = [*config.restic_extras, *arguments]
    process.exec_program([program, *restic_options(config, given), *given], restic_environment(config))


def exec_aws(config: Config, arguments: list[str]) -> NoReturn:
    """Replace this process by the aws command, with the endpoint of the configuration."""
    endpoint = config.required("s3_endpoint_url")
    process.exec_program([process.find_program("aws"), "--endpoint-url", endpoint, *arguments], aws_environment(config))


def backup_arguments(name: str, backup: BackupConfig, config: Config) -> list[str]:
    """Arguments of ``restic backup`` for one entry of ``backups``."""
    tags = [*backup.tags, *([name] if config.autotags and name not in backup.tags else [])]
    return [
        "backup",
        *config.backup_extras,
        *backup.extras,
        *(f"--exclude={pattern}" for pattern in backup.excludes),
        *(f"--tag={tag}" for tag in tags),
        *(["--", *backup.filesdirs] if backup.filesdirs else []),
    ]


def forget_arguments(config: Config) -> list[str]:
    """Arguments of ``restic forget`` for the retention."""
    options = [f"--{name}={count}" for name, count in config.retention.items()]
    return ["forget", "--prune", *options, *config.retention_extras]


def run_restic(config: Config, arguments: list[str], on_line: OnLine | None = None) -> Result:
    """Run restic and wait. Its output goes to the terminal, or line by line to ``on_line``.

    It waits for a lock of another host, if this restic can wait and no other time is configured.
    """
    return _run(config, arguments, on_line)[0]


def run_backup(config: Config, arguments: list[str], on_line: OnLine | None = None) -> tuple[Result, int | None]:
    """Run ``restic backup`` as :func:`run_restic` does. Also returns the number of files processed.

    None if restic does not print it (``--quiet``).
    """
    result, output = _run(config, arguments, on_line, keep_stdout=True)
    return result, processed_files(output)


def read_restic(config: Config, arguments: list[str]) -> str:
    """The stdout of a restic command that only reads. Raises the errors of :func:`explain_failure`."""
    program = process.find_program("restic")
    given = [*config.restic_extras, *arguments]
    argv = [program, *restic_options(config, given), *given]
    done = process.run(argv, env=restic_environment(config))
    if done.returncode:
        raise explain_failure(done, arguments[0], config.location)
    return done.stdout


def execute_restic(config: Config, arguments: list[str], on_line: OnLine | None = None) -> None:
    """Run restic as :func:`run_restic` does. Raises the errors of :func:`explain_failure`."""
    done = _stream(config, arguments, on_line)
    if done.returncode:
        raise explain_failure(done, arguments[0], config.location)


def _run(
    config: Config, arguments: list[str], on_line: OnLine | None, *, keep_stdout: bool = False
) -> tuple[Result, str]:
    """The result, and the end of stdout; without ``keep_stdout`` not of one that is a terminal."""
    completed = _stream(config, arguments, on_line, keep_stdout=keep_stdout)
    return interpret_exit_code(completed.returncode, arguments[0]), completed.stdout


def _stream(
    config: Config, arguments: list[str], on_line: OnLine | None, *, keep_stdout: bool = False
) -> process.Completed:
    program = process.find_program("restic")
    given = [*config.restic_extras, *arguments]
    options = [*restic_options(config, given), *config.restic_extras, *_lock_options(program, given)]
    return process.stream(
        [program, *options, *arguments], env=restic_environment(config), on_line=on_line, keep_stdout=keep_stdout
    )


def _lock_options(program: str, given: Sequence[str]) -> list[str]:
    if any(argument.startswith("--retry-lock") for argument in given) or not knows_retry_lock(program):
        return []
    return [f"--retry-lock={RETRY_LOCK}"]


def interpret_exit_code(code: int, command: str = "backup") -> Result:
    """The meaning of an exit code of ``restic backup`` or ``restic forget``; negative for a signal."""
    if code == 0:
        return Result("ok", 0, "")
    if code < 0:
        return Result("failed", code, f"restic was ended by signal {-code}")
    detail = _PARTIAL[command] if code == 3 else _MEANING.get(code, "restic failed")
    return Result("partial" if code == 3 else "failed", code, f"{detail} (exit code {code})")
