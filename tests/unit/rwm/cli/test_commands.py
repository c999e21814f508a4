"""The command line: instant help, options anywhere, one line for an error, and nobody's control characters."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import rwm
from rwm import process
from rwm.cli.main import cli
from rwm.errors import (
    AccessDenied,
    BadResponse,
    CheckFailed,
    ConfigError,
    LockHeld,
    PartlyDone,
    Refused,
    RwmError,
    StateNotFound,
    Unreachable,
    UsageError,
)
from rwm.times import iso
from tests import ROOT
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


# --- start-up and help -------------------------------------------------------------------------------------

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


def test_help_of_every_command_and_the_version_need_nothing_heavy() -> None:
    every = [[*path, "--help"] for path, _ in commands()]
    assert len(every) > 30
    found = modules_after(["--help"], ["version"], ["version", "--json"], *every)
    assert "click" in found
    assert not found & HEAVY


def test_both_ways_to_start_it() -> None:
    for argv in ([sys.executable, "-m", "rwm"], [sys.executable, "-c", "from rwm.cli.main import main; main()"]):
        done = process.run([*argv, "version"])
        assert (done.returncode, done.stdout, done.stderr) == (0, f"rwm {rwm.__version__}\n", "")


def test_help_shows_every_command_that_is_not_an_alias(rwm_: Terminal) -> None:
    assert rwm_("--help") == 0
    listed = [line.split()[0] for line in rwm_.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == sorted(path[0] for path in VISIBLE if len(path) == 1)
    assert listed == ["aws", "backup", "completion", "demo", "prune", "restic", "state", "storage", "version"]


def test_the_original_spellings_are_there_and_hidden(rwm_: Terminal) -> None:
    assert {path[0] for path, command in commands() if command.hidden} == set(ALIASES)
    rwm_("--help")
    assert not [alias for alias in ALIASES if alias in rwm_.out]


@pytest.mark.parametrize("path", VISIBLE, ids=" ".join)
def test_every_command_says_what_it_does_and_what_its_options_mean(rwm_: Terminal, path: tuple[str, ...]) -> None:
    assert rwm_(*path, "--help") == 0
    assert "--confg" not in rwm_.out
    command = dict(commands())[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    for option in ("-c, --config FILE", "-v, --verbose", "--json"):
        assert option in rwm_.out


def test_without_any_word_it_shows_help(rwm_: Terminal) -> None:
    rwm_()
    assert "Commands:" in rwm_.out + rwm_.err


# --- options anywhere --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-c", "--config", "--confg"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_configuration_is_named_before_or_after_the_command(
    rwm_: Terminal, s3: MemoryS3, option: str, place: int
) -> None:
    words = ["storage", "info", "bucket1"]
    words[place:place] = [option, "here.conf"]
    assert rwm_(*words) == 0
    assert "objects" in rwm_.out


def test_the_last_configuration_named_counts(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "nowhere.conf", "storage", "info", "bucket1", "-c", "here.conf") == 0


def test_what_a_server_says_about_versioning_does_not_reach_the_terminal_as_it_is(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.states["bucket1"] = "\x9b2J\x1b[31mEnabled"
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1") == 0
    assert rwm_.out.splitlines()[-1] == "versioning: \\x9b2J\\x1b[31mEnabled"


@pytest.mark.parametrize("place", [2, 3, 4, 5])
def test_json_before_or_after_the_command(rwm_: Terminal, s3: MemoryS3, place: int) -> None:
    words = ["-c", "here.conf", "storage", "info", "bucket1"]
    words.insert(place, "--json")
    assert rwm_(*words) == 0
    assert json.loads(rwm_.out)["objects"] == 1


@pytest.mark.parametrize(
    "words", [("-v", "storage", "info", "b"), ("storage", "-v", "info", "b"), ("storage", "info", "b", "--verbose")]
)
def test_verbose_before_or_after_the_command(rwm_: Terminal, s3: MemoryS3, words: tuple[str, ...]) -> None:
    assert rwm_("-c", "here.conf", *words) == 1
    assert "Traceback" in rwm_.err
    assert rwm_.err.splitlines()[-1].startswith("rwm: ")


def test_one_run_does_not_remember_the_options_of_another(rwm_: Terminal) -> None:
    assert rwm_("version", "--json") == 0
    assert json.loads(rwm_.out) == {"version": rwm.__version__}
    assert rwm_("version") == 0
    assert rwm_.out == f"rwm {rwm.__version__}\n"


# --- the error boundary --------------------------------------------------------------------------------------


def failing(error: BaseException) -> click.Command:
    @click.command()
    @click.option("-v", "verbose", is_flag=True)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(verbose: bool, words: tuple[str, ...]) -> None:
        raise error

    return command


ERRORS: list[tuple[RwmError, int]] = [
    (RwmError("what failed"), 1),
    (UsageError("what failed"), 2),
    (ConfigError("what failed"), 2),
    (PartlyDone("what failed"), 3),
    (CheckFailed("what failed"), 4),
    (Refused("what failed"), 5),
    (AccessDenied("what failed"), 6),
    (LockHeld("what failed"), 7),
    (StateNotFound("what failed"), 1),
    (Unreachable("what failed"), 1),
    (BadResponse("what failed"), 1),
]


@pytest.mark.parametrize(("error", "code"), ERRORS)
def test_an_error_is_one_line_and_its_exit_code(rwm_: Terminal, error: RwmError, code: int) -> None:
    assert rwm_(command=failing(error)) == code
    assert (rwm_.out, rwm_.err) == ("", "rwm: what failed\n")


def test_a_hint_is_a_second_line(rwm_: Terminal) -> None:
    assert rwm_(command=failing(Refused("what failed", hint="what to do"))) == 5
    assert rwm_.err == "rwm: what failed\n  what to do\n"


def test_a_traceback_comes_only_with_v_and_the_line_still_comes_last(rwm_: Terminal) -> None:
    assert rwm_("-v", command=failing(Refused("what failed"))) == 5
    assert rwm_.err.startswith("Traceback")
    assert rwm_.err.endswith("\nrwm: what failed\n")
    assert rwm_("--", "-v", command=failing(Refused("what failed"))) == 5
    assert rwm_.err == "rwm: what failed\n"


def test_what_nobody_expected_is_one_line_too(rwm_: Terminal) -> None:
    assert rwm_(command=failing(KeyError("a\nb"))) == 1
    assert rwm_.err == "rwm: internal error, please report it: KeyError: 'a\\nb' (-v prints a traceback)\n"
    assert rwm_("-v", command=failing(KeyError("x"))) == 1
    assert "Traceback" in rwm_.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_what_a_shell_reports(rwm_: Terminal, error: BaseException) -> None:
    assert rwm_(command=failing(error)) == 130
    assert rwm_.err.strip() == "rwm: interrupted"


def test_a_number_that_a_command_returns_is_its_exit_code(rwm_: Terminal) -> None:
    @click.command()
    def partly() -> int:
        return 3

    assert rwm_(command=partly) == 3


def test_control_characters_in_an_error_cannot_move_the_cursor(rwm_: Terminal) -> None:
    error = BadResponse("key \x1b[2J\n\x9b evil", hint="\x1b]0;title\x07")
    assert rwm_(command=failing(error)) == 1
    assert rwm_.err == "rwm: key \\x1b[2J\\n\\x9b evil\n  \\x1b]0;title\\x07\n"


def test_control_characters_of_a_bucket_cannot_move_the_cursor(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "evil\x1b[2J\n\r", b"x")
    for words in (["state", "capture", "bucket1"], ["state", "show", "latest", "-b", "bucket1"]):
        assert rwm_("-c", "here.conf", *words) == 0
        assert "\x1b" not in rwm_.out + rwm_.err
    assert "evil\\x1b[2J\\n\\r\n" in rwm_.out
    s3.now += 5000
    s3.delete("bucket1", "evil\x1b[2J\n\r")
    s3.now += 5000
    rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json")
    older, newer = [info["id"] for info in states(rwm_)]
    assert rwm_("-c", "here.conf", "state", "diff", older, newer) == 0
    assert rwm_.out == "- evil\\x1b[2J\\n\\r\n"


def test_control_characters_of_a_server_cannot_move_the_cursor(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version ids are the server's to choose."""
    (history,) = s3.buckets["bucket1"].values()
    history[0] = history[0]._replace(version_id="v\x1b[2J\x9b")
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1") == 0
    assert rwm_.out.endswith(" v\\x1b[2J\\x9b config\n")


def states(rwm_: Terminal) -> list[dict[str, Any]]:
    assert rwm_("-c", "here.conf", "state", "list", "--json") == 0
    found: list[dict[str, Any]] = json.loads(rwm_.out)
    return found


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
def test_a_wrong_call_ends_with_2_and_no_traceback(rwm_: Terminal, s3: MemoryS3, words: tuple[str, ...]) -> None:
    assert rwm_(*(["-c", "here.conf"] if words[0] != "-c" else []), *words) == 2
    assert rwm_.out == ""
    assert rwm_.err
    assert "Traceback" not in rwm_.err


TALK = """
import select, sys
import click
from rwm.console import error_boundary

@click.command()
def talk():
    reader = select.poll()
    reader.register(1, 0)
    reader.poll()  # until it has gone
    {line}

error_boundary.run_program(talk, "rwm", [])
"""


@pytest.mark.parametrize("line", ["click.echo('now')", "print('when the buffer is flushed at the end')"])
def test_a_reader_that_goes_away_is_no_internal_error(line: str) -> None:
    pipeline = '"$0" -c "$1" | true; exit "${PIPESTATUS[0]}"'
    done = process.run(["/bin/bash", "-c", pipeline, sys.executable, TALK.format(line=line)])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


SPEAK = """
import os, sys
import click
from rwm.console import error_boundary
from rwm.console import output, show_progress
from rwm.errors import Refused

@click.command()
def speak():
    click.echo("data")
    output.print_note("on the way")
    with show_progress("working"), open({file!r}, "w") as file:
        os.system("echo from a child; echo from a child >&2")
    raise Refused("what failed", hint="what to do")

error_boundary.run_program(speak, "rwm", [])
"""


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        (">&-", "", "on the way\nfrom a child\nrwm: what failed\n  what to do\n"),
        ("2>&-", "data\nfrom a child\n", ""),
        (">&- 2>&-", "", ""),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_closed_standard_streams_end_up_nowhere(tmp_path: Path, closed: str, out: str, err: str) -> None:
    file = tmp_path / "file"
    script = SPEAK.format(file=str(file))
    done = process.run(["/bin/sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, script])
    assert sorted(done.stdout.splitlines()) == sorted(out.splitlines())
    assert (done.returncode, done.stderr) == (5, err)
    assert file.read_text() == ""


# --- what commands print -------------------------------------------------------------------------------------


def test_capture_list_show_and_diff_for_scripts(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json") == 0
    first = json.loads(rwm_.out)
    assert set(first) >= {"id", "bucket", "captured_at", "origin", "objects", "bytes"}
    assert len(first["id"]) == 64
    s3.put("bucket1", "config", b"{} ")
    s3.put("bucket1", "new", b"x")
    s3.now += 5000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json") == 0
    second = json.loads(rwm_.out)
    assert [info["id"] for info in states(rwm_)] == [first["id"], second["id"]]
    assert rwm_("-c", "here.conf", "state", "show", second["id"][:12], "--json") == 0
    shown = json.loads(rwm_.out)
    assert {name: shown[name] for name in second} == second
    assert [entry["key"] for entry in shown["entries"]] == ["config", "new"]
    assert set(shown["entries"][0]) == {"key", "version_id", "size", "etag", "last_modified"}
    assert rwm_("-c", "here.conf", "state", "diff", first["id"], second["id"], "--json") == 0
    assert json.loads(rwm_.out) == {"added": ["new"], "removed": [], "changed": ["config"]}


def test_hidden_keys_are_listed(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "a/../b", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1", "--hidden", "--json") == 0
    assert [entry["key"] for entry in json.loads(rwm_.out)["entries"]] == ["a/../b"]


@pytest.fixture
def replaced(s3: MemoryS3) -> list[str]:
    """Three versions of one key, which is none that restic writes only once; the last is present."""
    return [s3.put("bucket1", "notes", b"x" * size) for size in (1, 2, 3)]


def test_a_dry_run_of_prune_shows_the_plan_and_deletes_nothing(
    rwm_: Terminal, s3: MemoryS3, replaced: list[str]
) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    before = s3.counts("bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--dry-run", "--json") == 0
    plan = json.loads(rwm_.out)
    assert {name: plan[name] for name in ("versions", "markers", "bytes", "kept_versions", "locked", "too_young")} == {
        "versions": 2, "markers": 0, "bytes": 3, "kept_versions": 2, "locked": 0, "too_young": 0,
    }  # fmt: skip
    assert plan["refused"] == []
    assert s3.counts("bucket1") == before
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
    assert "deleted 2 versions and 0 markers" in rwm_.out
    assert replaced[-1] == s3.present("bucket1")["notes"]


def test_prune_asks_and_without_a_terminal_says_how_to_answer(
    rwm_: Terminal, s3: MemoryS3, replaced: list[str]
) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    with Path(os.devnull).open() as nothing, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", nothing)
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1") == 2
    assert "--yes" in rwm_.err
    assert s3.deleted == []


def test_prune_without_a_state_is_refused(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 5
    assert "rwm state capture bucket1" in rwm_.err


def test_what_could_not_be_pruned_is_partly_done(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    s3.stuck["notes", replaced[0]] = "AccessDenied"
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes", "--json") == 3
    document = json.loads(rwm_.out)
    assert document["failures"] == [{"key": "notes", "version_id": replaced[0], "code": "AccessDenied"}]
    assert document["versions"] == 1


def test_restore_shows_what_arrived_and_what_did_not(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/x", b"abc")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.wrong["config"] = b"!"
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out")
    assert rwm_(*restore, "--json") == 3
    document = json.loads(rwm_.out)
    assert (document["objects"], document["bytes"]) == (1, 3)
    assert [failure["key"] for failure in document["failures"]] == ["config"]
    assert "warning: config is not restored" in rwm_.err
    assert rwm_(*restore) == 5


def test_a_check_that_finds_problems_ends_with_4(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    document = json.loads(rwm_.out)
    assert document["ok"] is False
    assert [item["code"] for item in document["drift"]] == ["policy-missing"]
    assert rwm_("-c", "here.conf", "storage", "check", "nope") == 1


def test_a_state_of_the_past(rwm_: Terminal, s3: MemoryS3) -> None:
    then = s3.now
    s3.now += 60_000
    s3.put("bucket1", "new", b"x")
    s3.now += 60_000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--at", iso(then + 5000)) == 0
    (info,) = states(rwm_)
    assert (info["origin"], info["objects"], info["captured_at"]) == ("past", 1, iso(then + 5000))
    assert rwm_("-c", "here.conf", "state", "list", "bucket1") == 0
    assert info["id"][:12] in rwm_.out
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--at", "2100-01-01") == 2
    assert len(states(rwm_)) == 1


def test_restore_to_a_bucket_or_a_directory(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "..", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1")
    assert rwm_(*restore, "--to-bucket", "new") == 0
    assert rwm_.out == "restored 2 objects, 3 B, to bucket new\n"
    assert s3.present("new").keys() == {"config", ".."}
    assert rwm_(*restore, "--to-dir", "out") == 0
    assert "1 keys have no path" in rwm_.err
    assert (rwm_.directory / "out" / "config").read_bytes() == b"{}"


def test_delete_says_what_goes_and_asks(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "config", b"{} ")
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--dry-run") == 0
    assert rwm_.out == "would delete bucket bucket1 with 2 versions and markers, 5 B\n"
    assert "bucket1" in s3.buckets
    assert rwm_("-c", "here.conf", "storage", "delete", "nope", "--yes") == 1
    s3.object_lock = True
    s3.stuck["config", s3.present("bucket1")["config"]] = "AccessDenied"
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes") == 3
    assert "AccessDenied" in rwm_.err
    s3.stuck.clear()
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes", "--json") == 0
    assert json.loads(rwm_.out)["deleted"] is True
    assert s3.buckets == {}


class TestOriginalSpellings:
    @pytest.mark.parametrize("name", ["storage_delete", "storage-delete"])
    def test_delete(self, rwm_: Terminal, s3: MemoryS3, name: str) -> None:
        assert rwm_("-c", "here.conf", name, "bucket1", "--yes") == 0
        assert s3.buckets == {}

    @pytest.mark.parametrize("name", ["storage_drop_versions", "storage-drop-versions"])
    def test_drop_versions_keeps_the_newest_state_and_what_is_present(
        self, rwm_: Terminal, s3: MemoryS3, replaced: list[str], name: str
    ) -> None:
        rwm_("-c", "here.conf", "storage_state", "bucket1")
        s3.now += 5000
        present = s3.put("bucket1", "notes", b"4")
        assert rwm_("-c", "here.conf", name, "bucket1") == 0
        there = [entry.version_id for entry in s3.versions("bucket1") if entry.key == "notes"]
        assert there == [present, replaced[-1]]

    def test_drop_versions_is_refused_when_it_would_lose_data(self, rwm_: Terminal, s3: MemoryS3) -> None:
        assert rwm_("-c", "here.conf", "storage_drop_versions", "bucket1") == 5
        assert s3.deleted == []

    def test_restore_state_takes_an_id_or_the_key_of_a_state_file(self, rwm_: Terminal, s3: MemoryS3) -> None:
        rwm_("-c", "here.conf", "storage_state", "bucket1")
        ((key, _),) = [item for item in s3.present("bucket1").items() if item[0].startswith("rwm/states/")]
        (info,) = states(rwm_)
        for target, name in (("one", info["id"]), ("two", info["id"][:9]), ("three", key), ("four", "latest")):
            assert rwm_("-c", "here.conf", "storage_restore_state", "bucket1", target, name) == 0
            assert s3.present(target).keys() == {"config"}
        assert rwm_("-c", "here.conf", "storage_restore_state", "bucket1", "five", "rwm/state_2024.json.gz") == 1
        assert "`rwm state sync bucket1` reads the state files" in rwm_.err
        assert "five" not in s3.buckets

    def test_backup_all(self, rwm_: Terminal, s3: MemoryS3) -> None:
        assert rwm_("-c", "here.conf", "backup_all") == 2
        assert "has no backups" in rwm_.err


def test_secrets_are_in_nothing_that_is_printed(rwm_: Terminal, s3: MemoryS3) -> None:
    for words in (["storage", "info", "nope"], ["-v", "storage", "check", "bucket1"], ["-v", "state", "show", "zz"]):
        rwm_("-c", "here.conf", *words)
        assert "secret-value" not in rwm_.out + rwm_.err
        assert "password-value" not in rwm_.out + rwm_.err


def test_a_loose_configuration_is_warned_about_once(rwm_: Terminal, s3: MemoryS3) -> None:
    (rwm_.directory / "here.conf").chmod(0o644)
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1", "--json") == 0
    assert rwm_.err.count("warning: ") == 1
    json.loads(rwm_.out)


# --- restic and aws -------------------------------------------------------------------------------------------

TOOL = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done
exit 9
"""


@pytest.fixture
def tools(rwm_: Terminal, s3: MemoryS3) -> Terminal:
    for name in ("restic", "aws"):
        tool = rwm_.directory / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    return rwm_


@pytest.mark.parametrize("tool", ["restic", "aws"])
@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        (["snapshots"], ["snapshots"]),
        (["snapshots", "--json", "-v", "-c", "x"], ["snapshots", "--json", "-v", "-c", "x"]),
        (["--", "--help"], ["--help"]),
        (["--", "s3api", "--help"], ["s3api", "--help"]),
        (["forget", "--", "-x"], ["forget", "--", "-x"]),
        (["--", "--", "x"], ["--", "x"]),
        (["--no-lock", "snapshots"], ["--no-lock", "snapshots"]),
        (["backup", "with space", "", "*", "$HOME"], ["backup", "with space", "", "*", "$HOME"]),
        ([], []),
    ],
)
def test_words_are_passed_on_as_they_are(tools: Terminal, tool: str, typed: list[str], passed: list[str]) -> None:
    """With its exit code: the tool takes our place."""
    done = process.run(
        [sys.executable, "-m", "rwm", "-c", "here.conf", tool, *typed],
        env={**os.environ, "PATH": f"{tools.directory}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        cwd=tools.directory,
    )
    words = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (9, "")
    assert words == (passed if tool == "restic" else ["--endpoint-url", "http://127.0.0.1:9", *passed])
