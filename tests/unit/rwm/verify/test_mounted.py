"""``restic check`` on a mount, with programs that are shell scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from rwm import process
from rwm.config import Config
from rwm.errors import CommandMissing, ConfigError, MountError, PartlyDone, RwmError
from rwm.model import StateInfo
from rwm.repositories import RepositoryCount
from rwm.verify import Problem, RepositoryCheck, VerifyReport, check_with_restic, judge_checks, report_checks

INFO = StateInfo("ab" * 32, "bucket1", 0, "capture", 1, 155)
ROOT = RepositoryCount("", 1, 155)
INNER = RepositoryCount("host1/", 2, 200)

Script = Callable[[str, str], None]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Write programs that are found first on the PATH; a mount is there at once, and ends with its process."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(process, "find_beside_python", lambda name: None)
    monkeypatch.setattr(Path, "is_mount", lambda path: path.with_name("mounted").exists())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    write("rwmfs", f'echo "$@" > {tmp_path}/mount-arguments; touch "${{5%/*}}/mounted"; exec sleep 600')
    return write


def config(**values: object) -> Config:
    return Config.model_validate({"restic_password": SecretStr("secret"), **values})


def check(percent: float | None = None, *roots: RepositoryCount, answers: bool = True) -> list[RepositoryCheck]:
    return check_with_restic(config(), INFO, roots or [ROOT], percent, lambda *_: None, lambda: answers)


@pytest.mark.parametrize(
    ("percent", "option"),
    [(None, ""), (10, "--read-data-subset=10%"), (2.5, "--read-data-subset=2.5%"), (100, "--read-data")],
)
def test_arguments_and_environment(script: Script, tmp_path: Path, percent: float | None, option: str) -> None:
    script("restic", f'echo "$@" > {tmp_path}/arguments; env > {tmp_path}/environment')
    assert check(percent) == [RepositoryCheck(ROOT)]
    words = (tmp_path / "arguments").read_text().split()
    assert words[:1] + words[3:] == ["-r", "check", *([option] if option else [])]
    assert words[2].startswith("--cache-dir=")
    assert Path(words[1]).name == "repository"
    environment = (tmp_path / "environment").read_text()
    assert "RESTIC_PASSWORD=secret\n" in environment
    assert "AWS_" not in environment
    mount = (tmp_path / "mount-arguments").read_text()
    assert mount.startswith(f"mount bucket1 --at {INFO.id} ")
    assert "--cache-size 0" in mount
    assert list(tmp_path.glob("rwm-verify-*")) == []


def test_each_repository_is_checked(script: Script, tmp_path: Path) -> None:
    script(
        "restic", f'echo "$2" >> {tmp_path}/places; test "${{2%host1}}" = "$2" || {{ echo "error: x" >&2; exit 1; }}'
    )
    assert check(None, ROOT, INNER) == [RepositoryCheck(ROOT), RepositoryCheck(INNER, ["error: x"])]
    first, second = (tmp_path / "places").read_text().splitlines()
    assert second == f"{first}/host1"


@pytest.mark.parametrize("text", ["exit 12", 'echo "Fatal: wrong password or no key found" >&2; exit 1'])
def test_a_wrong_password_is_no_fault_of_the_repository(script: Script, text: str) -> None:
    script("restic", text)
    with pytest.raises(RwmError, match="opens no key") as caught:
        check()
    assert caught.value.exit_code == 1
    script("restic", f'test "${{2%host1}}" = "$2" || {{ {text}; }}')
    assert [bool(one.unknown) for one in check(None, ROOT, INNER)] == [False, True]


def test_an_error_counts_only_while_the_server_answers(script: Script) -> None:
    script("restic", "exit 1")
    assert check()[0].errors == ["restic check failed (exit code 1)"]
    assert "could not read" in check(answers=False)[0].unknown
    script("restic", "kill -9 $$")
    assert "signal 9" in check()[0].unknown


def test_an_error_does_not_count_after_the_mount_has_ended(script: Script, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script("rwmfs", f'echo $$ > {pid}; touch "${{5%/*}}/mounted"; exec sleep 600')
    wait_for_zombie = 'while read -r _ _ state _ < /proc/$pid/stat && [ "$state" != Z ]; do :; done'
    script("restic", f"read pid < {pid}; kill -9 $pid; {wait_for_zombie}; exit 1")
    assert "could not read" in check()[0].unknown


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ([RepositoryCheck(ROOT), RepositoryCheck(INNER)], "passed"),
        ([RepositoryCheck(ROOT, [], "u"), RepositoryCheck(INNER, ["e"])], "failed"),
        ([RepositoryCheck(ROOT), RepositoryCheck(INNER, [], "signal", has_crashed=True)], "crashed"),
    ],
)
def test_outcome_of_a_state(checks: list[RepositoryCheck], outcome: str) -> None:
    assert judge_checks(INFO, checks) == outcome


def test_a_state_with_a_repository_that_could_not_be_checked_has_no_outcome() -> None:
    with pytest.raises(PartlyDone, match="bucket1/host1: u"):
        judge_checks(INFO, [RepositoryCheck(ROOT), RepositoryCheck(INNER, [], "u")])


def test_what_is_missing(script: Script, tmp_path: Path) -> None:
    with pytest.raises(CommandMissing, match="restic is not installed"):
        check_without_programs(tmp_path, "restic")
    script("restic", "exit 0")
    with pytest.raises(ConfigError, match="sets no restic password"):
        check_with_restic(Config(), INFO, [ROOT], None, lambda *_: None, lambda: True)
    with pytest.raises(CommandMissing, match="rwmfs is not installed"):
        check_without_programs(tmp_path, "rwmfs")


def check_without_programs(directory: Path, name: str) -> None:
    """Check where one of the programs is not on the PATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(directory))
        (directory / name).unlink(missing_ok=True)
        check()


def test_a_mount_that_fails_says_why_with_its_exit_code(script: Script) -> None:
    script("restic", "exit 0")
    script("rwmfs", 'echo "rwmfs: AccessDenied" >&2; echo "  check the keys" >&2; exit 6')
    with pytest.raises(MountError, match=r"could not be mounted: AccessDenied$") as caught:
        check()
    assert (caught.value.exit_code, caught.value.hint) == (6, "check the keys")
    script("rwmfs", "kill -9 $$")
    with pytest.raises(MountError, match="the mount process ended"):
        check()


def test_report() -> None:
    problems: list[Problem] = []
    report = VerifyReport(INFO, "restic", 0, problems.append)
    report_checks([RepositoryCheck(ROOT), RepositoryCheck(INNER, ["e"]), RepositoryCheck(INNER, [], "u")], report)
    assert problems == [Problem("wrong", "host1/", "", "e"), Problem("unchecked", "host1/", "", "u")]
    assert (report.checked, report.bytes, report.faults, report.unknown) == (1, 155, 1, 1)
