"""Arguments and exit codes of restic and aws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm import process
from rwm.config import BackupConfig, Config
from rwm.errors import CommandMissing
from rwm.restic.run import (
    backup_arguments,
    exec_aws,
    exec_restic,
    forget_arguments,
    interpret_exit_code,
    run_restic,
)
from tests.unit.rwm.restic.configuration import PASSWORD, S3_SECRET, config

# --- arguments -------------------------------------------------------------------------------------------


def test_backup_arguments() -> None:
    entry = BackupConfig(filesdirs=["/etc", "/home"], excludes=["*.tmp"], tags=["host"], extras=["--one-file-system"])
    assert backup_arguments("etc", entry, config(backup_extras=["--verbose"])) == [
        "backup", "--verbose", "--one-file-system", "--exclude=*.tmp", "--tag=host", "--", "/etc", "/home",
    ]  # fmt: skip


def test_autotags_add_the_name_once() -> None:
    assert "--tag=etc" in backup_arguments("etc", BackupConfig(filesdirs=["/etc"]), config(autotags=True))
    tagged = backup_arguments("etc", BackupConfig(filesdirs=["/etc"], tags=["etc"]), config(autotags=True))
    assert tagged.count("--tag=etc") == 1
    assert "--tag=etc" not in backup_arguments("etc", BackupConfig(filesdirs=["/etc"]), config())


def test_backup_arguments_without_files() -> None:
    assert backup_arguments("db", BackupConfig(filesdirs=[], extras=["--stdin"]), config()) == ["backup", "--stdin"]


words = st.lists(st.text(alphabet="a- *", min_size=1, max_size=4), max_size=3)


@given(filesdirs=words, excludes=words, tags=words)
def test_names_like_options_are_not_options(filesdirs: list[str], excludes: list[str], tags: list[str]) -> None:
    entry = BackupConfig(filesdirs=filesdirs, excludes=excludes, tags=tags)
    arguments = backup_arguments("name", entry, config())
    options = arguments[1 : len(arguments) - len(filesdirs)]
    assert arguments[len(arguments) - len(filesdirs) :] == filesdirs
    assert options == [
        *(f"--exclude={e}" for e in excludes),
        *(f"--tag={t}" for t in tags),
        *(["--"] * bool(filesdirs)),
    ]


def test_forget_arguments() -> None:
    retention = {"keep-last": "5", "keep-within": "30d"}
    assert forget_arguments(config(retention=retention, retention_extras=["--max-unused=1%"])) == [
        "forget", "--prune", "--keep-last=5", "--keep-within=30d", "--max-unused=1%",
    ]  # fmt: skip


FAKE_RESTIC = """#!/bin/sh
if [ "$1" = version ]; then echo "restic {version} compiled with go1.19.8 on linux/amd64"; exit; fi
echo "$@"
"""


@pytest.mark.parametrize(
    ("version", "extras", "arguments"),
    [
        ("0.14.0", [], "forget --prune"),
        ("0.16.0", [], "--retry-lock=5m forget --prune"),
        ("0.18.0-dev", ["--limit-upload=5"], "--limit-upload=5 --retry-lock=5m forget --prune"),
        ("1.0.0", ["--retry-lock", "1h"], "--retry-lock 1h forget --prune"),
        ("of my own", ["-o", "s3.connections=9"], "-o s3.connections=9 forget --prune"),
    ],
)
def test_a_lock_is_waited_for_where_restic_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, extras: list[str], arguments: str
) -> None:
    program = tmp_path / "restic"
    program.write_text(FAKE_RESTIC.format(version=version))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    lines: list[str] = []
    settings = config(restic_extras=extras)
    assert run_restic(settings, forget_arguments(settings), lambda _, line: lines.append(line)).outcome == "ok"
    assert lines == [arguments]


def test_no_secret_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine can read command lines."""
    seen: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(process, "find_program", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(process, "exec_program", lambda argv, env: seen.append((argv, env)))
    become: list[Callable[[Config, list[str]], object]] = [exec_restic, exec_aws]
    for one, words in zip(become, (["snapshots", "--json"], ["s3", "ls"]), strict=True):
        one(config(restic_extras=["--no-lock"]), words)
    (restic, restic_env), (aws, aws_env) = seen
    assert restic == ["/usr/bin/restic", "--no-lock", "snapshots", "--json"]
    assert aws == ["/usr/bin/aws", "--endpoint-url", "http://127.0.0.1:7480", "s3", "ls"]
    arguments = backup_arguments("etc", BackupConfig(filesdirs=["/etc"]), config())
    for argv in (restic, aws, arguments):
        assert not [word for word in argv if S3_SECRET in word or PASSWORD in word]
    assert restic_env["RESTIC_PASSWORD"] == PASSWORD
    assert PASSWORD not in aws_env.values()


def test_a_missing_program_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for become, package in ((exec_restic, "restic"), (exec_aws, "awscli")):
        with pytest.raises(CommandMissing) as error:
            become(config(), [])
        assert f"apt-get install {package}" in error.value.hint


# --- exit codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome", "detail"),
    [
        (0, "ok", ""),
        (1, "failed", "restic failed (exit code 1)"),
        (3, "partial", "some files could not be read (exit code 3)"),
        (10, "failed", "the repository does not exist: run `rwm restic init` once (exit code 10)"),
        (11, "failed", "the repository is locked by another run (exit code 11)"),
        (12, "failed", "the password is wrong (an older state needs the password of its time) (exit code 12)"),
        (130, "failed", "restic was interrupted (exit code 130)"),
        (99, "failed", "restic failed (exit code 99)"),
        (-9, "failed", "restic was ended by signal 9"),
    ],
)
def test_exit_codes(code: int, outcome: str, detail: str) -> None:
    assert interpret_exit_code(code) == (outcome, code, detail)


def test_exit_code_3_depends_on_the_command() -> None:
    assert interpret_exit_code(3, "forget") == ("partial", 3, "some snapshots could not be removed (exit code 3)")


@given(code=st.integers(-64, 255), command=st.sampled_from(["backup", "forget"]))
def test_every_other_exit_code_has_a_detail(code: int, command: str) -> None:
    found = interpret_exit_code(code, command)
    assert (found.outcome == "ok") == (code == 0) == (not found.detail)
