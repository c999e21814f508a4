"""The environment of restic and aws: the account of the configuration, and no other; secrets are passed there only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rwm.config import Config
from rwm.errors import ConfigError
from rwm.names import NAME_MAX
from rwm.restic.environment import password_length, restic_environment, s3_environment
from tests.unit.rwm.restic.configuration import PASSWORD, S3_SECRET, config


def test_environment_has_the_repository_of_the_configuration() -> None:
    assert restic_environment(config(cache_dir="/var/cache/rwm"), {"PATH": "/bin", "HOME": "/root"}) == {
        "PATH": "/bin",
        "HOME": "/root",
        "AWS_ACCESS_KEY_ID": "user1",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "RESTIC_CACHE_DIR": "/var/cache/rwm-restic/127.0.0.1:7480_bucket1",
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
    assert "theirs" not in restic_environment(config(), FOREIGN | FOREIGN_RESTIC).values()
    assert "theirs" not in s3_environment(config(), FOREIGN).values()


def test_other_variables_are_inherited() -> None:
    kept = {"AWS_CA_BUNDLE": "/ca.pem", "RESTIC_CACHE_DIR": "/c", "HTTPS_PROXY": "http://p", "AWS_PAGER": ""}
    assert kept.items() <= restic_environment(config(), kept).items()


@pytest.mark.parametrize(
    ("values", "variable", "value"),
    [
        ({"restic_password_file": Path("/etc/pw")}, "RESTIC_PASSWORD_FILE", "/etc/pw"),
        ({"restic_password_command": "pass show restic"}, "RESTIC_PASSWORD_COMMAND", "pass show restic"),
    ],
)
def test_password_from_a_file_or_a_command(values: dict[str, Any], variable: str, value: str) -> None:
    found = restic_environment(config(restic_password=None, **values), FOREIGN_RESTIC)
    assert {name: text for name, text in found.items() if "PASSWORD" in name} == {variable: value}


def test_a_missing_password_is_an_error_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="sets no restic password") as error:
        restic_environment(config(restic_password=None), {})
    assert "restic_password_file" in error.value.hint


@pytest.mark.parametrize("missing", ["s3_endpoint_url", "s3_access_key", "s3_secret_key", "restic_bucket"])
def test_a_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        restic_environment(config(**{missing: None}), {})


LONG = "/".join(["bucket1", *("x" * 200 for _ in range(4))])
LOCATIONS = (
    "bucket1",
    "bucket2",
    "bucket1/host1",
    "bucket1/host2",
    "bucket1_host1",
    "bucket1-host1",
    LONG,
    LONG + "/y",
)


def test_restic_caches_apart_from_plain_restic_on_a_mount() -> None:
    """Both see the same repository id, and the bucket may have been poisoned. So may one of two locations."""
    assert Config().restic_cache_dir.name == "rwm-restic"
    found = {Path(restic_environment(config(restic_bucket=bucket), {})["RESTIC_CACHE_DIR"]) for bucket in LOCATIONS}
    assert {path.parent for path in found} == {Config().restic_cache_dir}
    assert len(found) == len(LOCATIONS)
    assert max(len(path.name) for path in found) <= NAME_MAX


def test_the_repository_is_below_the_prefix() -> None:
    def url(location: str, **values: Any) -> str:
        return restic_environment(config(restic_bucket=location, **values), {})["RESTIC_REPOSITORY"]

    assert url("bucket1/host1/") == "s3:http://127.0.0.1:7480/bucket1/host1"
    assert url("bucket1/sites/a b/50%") == "s3:http://127.0.0.1:7480/bucket1/sites/a%20b/50%25"
    assert url("bucket1/host1", s3_addressing="virtual") == url("bucket1/host1")


def test_the_length_of_the_password_is_what_restic_gets(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("four words äöü\n")
    assert password_length(config()) == len(PASSWORD)
    assert password_length(config(restic_password=None, restic_password_file=file)) == 14
    assert password_length(config(restic_password=None, restic_password_file=tmp_path / "none")) is None
    assert password_length(config(restic_password=None, restic_password_command="pass")) is None
