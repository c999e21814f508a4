"""Every file in examples/ is one that its program understands."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
import yaml

from rwm import config, process
from rwm.embedded.accounts import USER_ACTIONS
from rwm.restic import backup_arguments, restic_environment
from tests import ROOT
from tests import help as help_texts

EXAMPLES = ROOT / "examples"
CONFIGURATIONS = sorted(EXAMPLES.glob("*.conf"))
UNITS = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".service", ".timer", ".mount", ".automount"))
BIN = Path(sys.executable).parent


def read_unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path)
    return parser


def test_every_example_is_of_a_known_kind() -> None:
    others = {EXAMPLES / name for name in ("restic.env", "seaweedfs-s3.json", "aws-admin-policy.json")}
    assert set(EXAMPLES.iterdir()) == {*CONFIGURATIONS, *UNITS, *others}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_configurations_load_also_with_what_is_commented_out(path: Path, tmp_path: Path) -> None:
    assert config.load_config(path, {}).s3_settings().endpoint_url
    text = path.read_text()
    sections = re.findall(r"^# (\w+):\n((?:#   .*\n)+)", text, re.MULTILINE)
    for name, lines in sections:
        value = f"{name}:\n" + re.sub(r"^#", "", lines, flags=re.MULTILINE)
        kept = "" if re.search(rf"^{name}:", text, re.MULTILINE) else text
        copy = tmp_path / f"{name}.conf"
        copy.touch(mode=0o600)
        copy.write_text(kept + value)
        assert config.load_config(copy, {}).model_dump()[name]


def test_units_are_valid_for_systemd(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text().replace("/usr/local/bin/", f"{BIN}/")
        (tmp_path / path.name).write_text(text)
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nTypo=1\n")
    verify = ["systemd-analyze", "--man=no", "verify"]
    done = process.run([*verify, *(str(tmp_path / path.name) for path in UNITS)])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Typo" in process.run([*verify, str(tmp_path / "wrong.service")]).stderr, "a mistake would be seen"


@pytest.mark.parametrize("path", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.name)
def test_commands_of_services_parse(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _, command, _ in help_texts.everything():
        if not isinstance(command, click.Group):
            monkeypatch.setattr(command, "callback", lambda **_: None)
    lines = re.findall(r"^ExecStart=/usr/local/bin/(rwm .*)$", path.read_text(), re.MULTILINE)
    assert lines
    for words in map(shlex.split, lines):
        help_texts.PROGRAMS[words[0]].main(words[1:], prog_name=words[0], standalone_mode=False)


def test_every_timer_starts_a_service() -> None:
    timers = {path.stem for path in UNITS if path.suffix == ".timer"}
    assert timers == {path.stem for path in UNITS if path.suffix == ".service"}
    assert all(read_unit(EXAMPLES / f"{name}.timer")["Timer"]["Persistent"] == "true" for name in timers)


def test_the_environment_of_plain_restic_is_that_of_rwm(tmp_path: Path) -> None:
    given = dict(re.findall(r'^([A-Z_]+)="(.*)"$', (EXAMPLES / "restic.env").read_text(), re.MULTILINE))
    loaded = config.load_config(EXAMPLES / "rwm-backups.conf", {})
    made = restic_environment(loaded, {})
    same = {name: value for name, value in given.items() if name != "RESTIC_PASSWORD_FILE"}
    assert same == {name: made[name] for name in same}


def test_policies_of_accounts_are_those_that_are_tested() -> None:
    document = json.loads((EXAMPLES / "seaweedfs-s3.json").read_text())
    (statement,) = json.loads(document["policies"][0]["content"])["Statement"]
    assert tuple(statement["Action"]) == USER_ACTIONS
    admin = json.loads((EXAMPLES / "aws-admin-policy.json").read_text())["Statement"]
    assert [each["Effect"] for each in admin] == ["Allow", "Allow"]
    assert [identity["actions"] for identity in document["identities"]] == [["Admin"], []]


def test_the_dump_that_restic_runs_itself_is_the_end_of_its_arguments() -> None:
    text = (EXAMPLES / "rwm-databases.conf").read_text()
    entry = text.partition("#   postgresql:\n")[2].partition("\n\n")[0]
    lines = "backups:\n  postgresql:\n" + re.sub(r"^# ", " ", entry, flags=re.MULTILINE)
    backup = config.BackupConfig(**yaml.safe_load(lines)["backups"]["postgresql"])
    arguments = backup_arguments("postgresql", backup, config.load_config(EXAMPLES / "rwm-databases.conf", {}))
    assert arguments[arguments.index("--") + 1 :] == [
        "runuser", "-u", "postgres", "--", "pg_dumpall", "--clean", "--if-exists",
    ]  # fmt: skip


def test_every_entry_is_loaded_from_the_newest_dump_of_its_own() -> None:
    text = (EXAMPLES.parent / "docs" / "operations.md").read_text()
    dumps = re.findall(r"restic .* dump (.*) latest (/\S+)", text)
    assert [file for _, file in dumps] == [f"/var/backups/rwm/{name}/all.sql" for name in ("postgresql", "mariadb")]
    assert [option for option, _ in dumps] == [f"--path {file.rpartition('/')[0]}" for _, file in dumps]
