"""``rwm``: fast help, common options anywhere, wrong arguments, secrets."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import click
import pytest

import rwm
from rwm import process
from rwm.cli.main import cli
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

HEAVY = {"boto3", "botocore", "pyfuse3", "sqlite3", "sqlite_utils", "yaml", "pydantic", "rich", "trio"}
ALIASES = [
    spelling
    for name in ("backup_all", "create_storage", "storage_create", "storage_delete", "storage_list", "storage_info",
                 "storage_check_policy", "storage_state", "storage_drop_versions", "storage_restore_state")
    for spelling in (name, name.replace("_", "-"))
]  # fmt: skip


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


VISIBLE = [path for path, command in commands() if not command.hidden]
SHOW_MODULES = """
import sys
from rwm.cli.main import cli
for words in {lines!r}:
    try:
        cli.main(words, prog_name="rwm")
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
print("MODULES", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def modules_after(*lines: list[str]) -> set[str]:
    """The top-level modules that a process has imported after these command lines."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it imports sqlite3
    done = process.run([sys.executable, "-c", SHOW_MODULES.format(lines=list(lines))], env=bare)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_and_version_import_nothing_heavy() -> None:
    every = [[*path, "--help"] for path, _ in commands()]
    assert len(every) > 30
    found = modules_after(["--help"], ["version"], ["version", "--json"], *every)
    assert "click" in found
    assert not found & HEAVY


def test_it_starts_as_a_module_and_as_a_console_script() -> None:
    for argv in ([sys.executable, "-m", "rwm"], [sys.executable, "-c", "from rwm.cli.main import main; main()"]):
        done = process.run([*argv, "version"])
        assert (done.returncode, done.stdout, done.stderr) == (0, f"rwm {rwm.__version__}\n", "")


def test_help_lists_every_command_except_aliases(rwm_: Terminal) -> None:
    assert rwm_("--help") == 0
    listed = [line.split()[0] for line in rwm_.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == sorted(path[0] for path in VISIBLE if len(path) == 1)
    assert " ".join(listed) == "audit aws backup completion demo forget lock prune recover restic state storage version"


def test_aliases_exist_and_are_hidden(rwm_: Terminal) -> None:
    assert {path[0] for path, command in commands() if command.hidden} == set(ALIASES)
    rwm_("--help")
    assert not [alias for alias in ALIASES if alias in rwm_.out]


@pytest.mark.parametrize("path", VISIBLE, ids=" ".join)
def test_every_command_and_option_has_help(rwm_: Terminal, path: tuple[str, ...]) -> None:
    assert rwm_(*path, "--help") == 0
    assert "--confg" not in rwm_.out
    command = dict(commands())[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    for option in ("-c, --config FILE", "-v, --verbose", "--json"):
        assert option in rwm_.out


@pytest.mark.parametrize("path", [(), ("state",), ("storage",)], ids=" ".join)
def test_a_list_of_commands_cuts_no_sentence_off(rwm_: Terminal, path: tuple[str, ...]) -> None:
    assert rwm_(*path, "--help") == 0
    listed = rwm_.out.partition("Commands:")[2].splitlines()
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("words", [("bakup",), ("--confi",), ("storage", "--confi"), ("storag_list",)])
def test_suggestions_are_names_that_the_help_shows(rwm_: Terminal, words: tuple[str, ...]) -> None:
    assert rwm_(*words) == 2
    hidden = [*ALIASES, "--confg"]
    assert not [name for name in hidden if name in rwm_.err]


def test_help_is_shown_without_arguments(rwm_: Terminal) -> None:
    rwm_()
    assert "Commands:" in rwm_.out + rwm_.err


@pytest.mark.parametrize("option", ["-c", "--config", "--confg"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_config_option_before_or_after_the_command(rwm_: Terminal, s3: MemoryS3, option: str, place: int) -> None:
    words = ["storage", "info", "bucket1"]
    words[place:place] = [option, "here.conf"]
    assert rwm_(*words) == 0
    assert "objects" in rwm_.out


def test_the_last_config_option_wins(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "nowhere.conf", "storage", "info", "bucket1", "-c", "here.conf") == 0


@pytest.mark.parametrize("place", [2, 3, 4, 5])
def test_json_option_before_or_after_the_command(rwm_: Terminal, s3: MemoryS3, place: int) -> None:
    words = ["-c", "here.conf", "storage", "info", "bucket1"]
    words.insert(place, "--json")
    assert rwm_(*words) == 0
    assert json.loads(rwm_.out)["objects"] == 1


@pytest.mark.parametrize(
    "words", [("-v", "storage", "info", "b"), ("storage", "-v", "info", "b"), ("storage", "info", "b", "--verbose")]
)
def test_verbose_option_before_or_after_the_command(rwm_: Terminal, s3: MemoryS3, words: tuple[str, ...]) -> None:
    assert rwm_("-c", "here.conf", *words) == 1
    assert "Traceback" in rwm_.err
    assert rwm_.err.splitlines()[-1].startswith("rwm: ")


def test_options_do_not_leak_into_the_next_run(rwm_: Terminal) -> None:
    assert rwm_("version", "--json") == 0
    assert json.loads(rwm_.out) == {"version": rwm.__version__}
    assert rwm_("version") == 0
    assert rwm_.out == f"rwm {rwm.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--nope",),
        ("nope",),
        ("state", "nope"),
        ("state", "capture"),
        ("state", "list", "--nope"),
        ("prune", "bucket1", "--keep-last", "-1"),
        ("prune", "bucket1", "--keep-last", "many"),
        ("prune", "bucket1", "--keep-last", "1", "--min-age", "soon"),
        ("state", "capture", "bucket1", "--at", "yesterday"),
        ("state", "capture", "bucket1", "--at", ""),
        ("state", "restore", "abc"),
        ("state", "restore", "abc", "--to-dir", "x", "--to-bucket", "y"),
        ("-c",),
        ("storage", "delete", "bucket1"),
    ],
)
def test_wrong_arguments_are_usage_errors_without_traceback(
    rwm_: Terminal, s3: MemoryS3, words: tuple[str, ...]
) -> None:
    assert rwm_(*(["-c", "here.conf"] if words[0] != "-c" else []), *words) == 2
    assert rwm_.out == ""
    assert rwm_.err
    assert "Traceback" not in rwm_.err


def test_secrets_are_never_printed(rwm_: Terminal, s3: MemoryS3) -> None:
    for words in (["storage", "info", "nope"], ["-v", "storage", "check", "bucket1"], ["-v", "state", "show", "zz"]):
        rwm_("-c", "here.conf", *words)
        assert "secret-value" not in rwm_.out + rwm_.err
        assert "password-value" not in rwm_.out + rwm_.err


def test_a_configuration_open_to_others_is_warned_about_once(rwm_: Terminal, s3: MemoryS3) -> None:
    (rwm_.directory / "here.conf").chmod(0o644)
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1", "--json") == 0
    assert rwm_.err.count("warning: ") == 1
    json.loads(rwm_.out)
