"""Environment, arguments and exit codes of restic and aws; secrets are passed in the environment only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from rwm import process
from rwm.config import BackupConfig, Config
from rwm.errors import CommandMissing, ConfigError
from rwm.restic.run import (
    backup_arguments,
    environment,
    exec_aws,
    exec_restic,
    forget_arguments,
    interpret_exit_code,
    s3_environment,
)

S3_SECRET, PASSWORD = "s3-secret-value", "restic-password-value"


def config(**values: Any) -> Config:
    return Config(
        **{
            "s3_endpoint_url": "http://127.0.0.1:7480/",
            "s3_access_key": "user1",
            "s3_secret_key": SecretStr(S3_SECRET),
            "restic_bucket": "bucket1",
            "restic_password": SecretStr(PASSWORD),
            **values,
        }
    )


def test_environment_has_the_repository_of_the_configuration() -> None:
    assert environment(config(), {"PATH": "/bin", "HOME": "/root"}) == {
        "PATH": "/bin",
        "HOME": "/root",
        "AWS_ACCESS_KEY_ID": "user1",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "RESTIC_REPOSITORY": "s3:http://127.0.0.1:7480/bucket1",
        "RESTIC_PASSWORD": PASSWORD,
    }


FOREIGN = {
    "AWS_ACCESS_KEY_ID": "theirs",
    "AWS_SECRET_ACCESS_KEY": "theirs",
    "AWS_SESSION_TOKEN": "theirs",
    "AWS_SECURITY_TOKEN": "theirs",
    "AWS_CREDENTIAL_EXPIRATION": "theirs",
    "AWS_PROFILE": "theirs",
    "AWS_DEFAULT_PROFILE": "theirs",
    "AWS_REGION": "theirs",
    "AWS_DEFAULT_REGION": "theirs",
    "AWS_ENDPOINT_URL": "theirs",
    "AWS_ENDPOINT_URL_S3": "theirs",
    "AWS_ROLE_ARN": "theirs",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "theirs",
}
FOREIGN_RESTIC = {
    "RESTIC_REPOSITORY": "theirs",
    "RESTIC_REPOSITORY_FILE": "theirs",
    "RESTIC_PASSWORD": "theirs",
    "RESTIC_PASSWORD_FILE": "theirs",
    "RESTIC_PASSWORD_COMMAND": "theirs",
}


def test_variables_of_other_accounts_are_removed() -> None:
    assert "theirs" not in environment(config(), FOREIGN | FOREIGN_RESTIC).values()
    assert "theirs" not in s3_environment(config(), FOREIGN).values()


def test_other_variables_are_inherited() -> None:
    kept = {"AWS_CA_BUNDLE": "/ca.pem", "RESTIC_CACHE_DIR": "/c", "HTTPS_PROXY": "http://p", "AWS_PAGER": ""}
    assert kept.items() <= environment(config(), kept).items()


@pytest.mark.parametrize(
    ("values", "variable", "value"),
    [
        ({"restic_password_file": Path("/etc/pw")}, "RESTIC_PASSWORD_FILE", "/etc/pw"),
        ({"restic_password_command": "pass show restic"}, "RESTIC_PASSWORD_COMMAND", "pass show restic"),
    ],
)
def test_password_from_a_file_or_a_command(values: dict[str, Any], variable: str, value: str) -> None:
    found = environment(config(restic_password=None, **values), FOREIGN_RESTIC)
    assert {name: text for name, text in found.items() if "PASSWORD" in name} == {variable: value}


def test_a_missing_password_is_an_error_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="sets no restic password") as error:
        environment(config(restic_password=None), {})
    assert "restic_password_file" in error.value.hint


@pytest.mark.parametrize("missing", ["s3_endpoint_url", "s3_access_key", "s3_secret_key", "restic_bucket"])
def test_a_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        environment(config(**{missing: None}), {})


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
    assert forget_arguments({"keep-last": "5", "keep-within": "30d"}) == [
        "forget", "--prune", "--keep-last=5", "--keep-within=30d",
    ]  # fmt: skip


def test_no_secret_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine can read command lines."""
    seen: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(process, "find_program", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(process, "exec_program", lambda argv, env: seen.append((argv, env)))
    become: list[Callable[[Config, list[str]], object]] = [exec_restic, exec_aws]
    for one, words in zip(become, (["snapshots", "--json"], ["s3", "ls"]), strict=True):
        one(config(), words)
    (restic, restic_env), (aws, aws_env) = seen
    assert restic == ["/usr/bin/restic", "snapshots", "--json"]
    assert aws == ["/usr/bin/aws", "--endpoint-url", "http://127.0.0.1:7480/", "s3", "ls"]
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
        (12, "failed", "the password is wrong (exit code 12)"),
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
