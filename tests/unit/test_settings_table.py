"""Each row of the table in docs/configuration.md is what boto3, restic and aws get."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rwm import process
from rwm.config import load_config
from rwm.restic import exec_aws, exec_restic, forget_arguments, run_restic
from rwm.s3 import connect
from rwm.s3 import credentials as s3_credentials
from tests import ROOT

PRINTER = """#!/bin/sh
[ "$1" != version ] || { echo "restic 0.14.0"; exit; }
for word; do printf '%s\\n' "$word"; done
env
[ -z "$AWS_CONFIG_FILE" ] || cat "$AWS_CONFIG_FILE"
"""
SECRETS = {"s3_secret_key": "secret-key-value", "s3_session_token": "token-value", "restic_password": "password-value"}
PROXY = "http://proxy.test:3128"


@dataclass
class Row:
    """Expected values: of the client, of the names in the columns of restic and aws. ``given``: keys, variables."""

    boto3: Callable[[Any], object]
    value: object
    restic: str
    aws: str
    given: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def keys(client: Any) -> Any:
    return client._request_signer._credentials.get_frozen_credentials()


def proxy(client: Any) -> object:
    return client._endpoint.http_session._proxy_config.proxy_url_for("https://s3.test/bucket1")


def alike(boto3: Callable[[Any], object], value: str, **given: str) -> Row:
    """The same value for all three."""
    return Row(boto3, value, value, value, given)


ROWS = {
    "s3_endpoint_url": Row(
        lambda client: client.meta.endpoint_url, "https://s3.test", "s3:https://s3.test/bucket1", "https://s3.test"
    ),
    "s3_access_key": alike(lambda client: keys(client).access_key, "user1"),
    "s3_secret_key": alike(lambda client: keys(client).secret_key, SECRETS["s3_secret_key"]),
    "s3_session_token": alike(lambda client: keys(client).token, SECRETS["s3_session_token"]),
    "s3_region": alike(lambda client: client.meta.region_name, "eu-west-9", s3_region="eu-west-9"),
    "s3_addressing": Row(
        lambda client: client.meta.config.s3["addressing_style"], "virtual", "dns", "", {"s3_addressing": "virtual"}
    ),
    "s3_ca_file": alike(lambda client: client._endpoint.http_session._verify, "{}/ca.pem", s3_ca_file="ca.pem"),
    "proxy used": Row(proxy, PROXY, PROXY, PROXY, environment={"https_proxy": PROXY, "no_proxy": "10.0.0.0/8"}),
    "no proxy": Row(
        proxy, None, "*.test,s3.test", "*.test,s3.test", environment={"HTTPS_PROXY": PROXY, "NO_PROXY": "*.test"}
    ),
}


class Printed(list[str]):
    """What a program printed: its arguments, its environment, and its configuration file."""

    def value(self, name: str) -> str:
        """Of an option (its last ``=``, or the next word) or a variable."""
        if name in self:
            return self[self.index(name) + 1]
        return next((line.rpartition("=")[2] for line in self if line.startswith(f"{name}=")), "")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Printed]:
    """Run the program that RWM would become, in the directory of the test."""
    for name in ("restic", "aws"):
        (tmp_path / name).write_text(PRINTER)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")  # it is not used
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    class Ended(Exception):
        pass

    def become(argv: list[str], env: Mapping[str, str]) -> NoReturn:
        output = [(os.POSIX_SPAWN_OPEN, 1, tmp_path / "output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)]
        child = os.posix_spawn(argv[0], argv, env, file_actions=output)  # like exec, it passes open files on
        assert os.waitpid(child, 0)[1] == 0
        raise Ended

    monkeypatch.setattr(process, "exec_program", become)

    def run(name: str) -> Printed:
        with pytest.raises(Ended):
            (exec_restic if name == "restic" else exec_aws)(load_config(tmp_path / "rwm.conf"), ["words"])
        return Printed((tmp_path / "output").read_text().splitlines())

    return run


def write(directory: Path, **given: str) -> None:
    values = {"s3_endpoint_url": "https://s3.test", "s3_access_key": "user1", "restic_bucket": "bucket1", **SECRETS}
    path = directory / "rwm.conf"
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}: {value}\n" for key, value in {**values, **given}.items()))


def documented() -> dict[str, list[list[str]]]:
    """Of each row the names in code font, by column."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    table = text.partition("| setting | boto3 | restic | aws |\n")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[1:]]
    return {cells[0].strip(" `"): [re.findall(r"`([^`]+)`", cell) for cell in cells[1:]] for cells in rows}


def test_the_table_has_the_settings_that_are_tried() -> None:
    assert list(documented()) == sorted([*ROWS, "s3_profile`, `s3_instance_role"], key=list(documented()).index)


@pytest.mark.parametrize("title", ROWS)
def test_a_setting_reaches_all_three(
    title: str, programs: Callable[[str], Printed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ROWS[title]
    for name, value in row.environment.items():
        monkeypatch.setenv(name, value)
    write(tmp_path, **row.given)
    _, restic, aws = documented()[title]
    client = connect(load_config(tmp_path / "rwm.conf").s3_settings()).client
    expected = row.value.format(tmp_path) if isinstance(row.value, str) else row.value
    assert row.boto3(client) == expected
    for program, names, value in (("restic", restic, row.restic), ("aws", aws, row.aws)):
        printed = programs(program)
        assert names
        for name in names:
            if name == "AWS_CONFIG_FILE":
                assert "addressing_style = virtual" in [line.strip() for line in printed]
            else:
                assert printed.value(name) == value.format(tmp_path), name
        arguments = printed[: printed.index("words") + 1]
        assert not [word for word in arguments for secret in SECRETS.values() if secret in word]


def test_a_profile_gives_the_three_variables(
    programs: Callable[[str], Printed], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_credentials._load_from_chain.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[x]\naws_access_key_id = a\naws_secret_access_key = b\naws_session_token = c\n"
    )
    write(tmp_path, s3_access_key="", s3_secret_key="", s3_session_token="", s3_profile="x")
    for program in ("restic", "aws"):
        printed = programs(program)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        assert [printed.value(name) for name in names] == ["a", "b", "c"]


def test_defaults_are_left_to_the_programs(programs: Callable[[str], Printed], tmp_path: Path) -> None:
    """What they do by themselves: path, and the system's store."""
    write(tmp_path)
    restic, aws = programs("restic"), programs("aws")
    assert restic[0] == "words"
    assert aws[:3] == ["--endpoint-url", "https://s3.test", "words"]
    assert aws.value("AWS_CONFIG_FILE") == ""


def test_restic_of_a_backup_gets_the_same(programs: Callable[[str], Printed], tmp_path: Path) -> None:
    write(tmp_path, s3_addressing="virtual", s3_ca_file="ca.pem")
    printed: list[str] = []
    config = load_config(tmp_path / "rwm.conf")
    run_restic(config, forget_arguments(config), lambda _, line: printed.append(line))
    assert printed[:3] == [f"--cacert={tmp_path}/ca.pem", "--option=s3.bucket-lookup=dns", "forget"]


@pytest.mark.parametrize("endpoint", ["https://s3.eu-west-1.amazonaws.com", "https://storage.googleapis.com"])
def test_restic_is_told_where_its_own_choice_differs(
    programs: Callable[[str], Printed], tmp_path: Path, endpoint: str
) -> None:
    write(tmp_path, s3_endpoint_url=endpoint)
    assert programs("restic")[0] == "--option=s3.bucket-lookup=path"
    write(tmp_path, s3_endpoint_url=endpoint, s3_addressing="auto")
    assert programs("restic")[0] == "words"


def test_an_option_of_the_user_is_not_contradicted(programs: Callable[[str], Printed], tmp_path: Path) -> None:
    """restic refuses two values of one option."""
    write(tmp_path, s3_addressing="virtual", restic_extras='["-o", "s3.bucket-lookup=auto"]')
    assert programs("restic")[:3] == ["-o", "s3.bucket-lookup=auto", "words"]
