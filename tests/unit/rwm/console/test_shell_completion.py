"""Shell completion, requested by environment variables as shells do. Only suggestions are printed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from rwm import process
from rwm.console.shell_completion import SHELLS
from rwm.index import Index
from rwm.model import StateInfo
from tests import ROOT, programs
from tests.unit.terminal import Terminal

ONE, TWO, THREE, FOUR, FIVE = ("1" * 64, "2" * 64, "3" * 64, "4" * 64, "5" * 64)


@pytest.fixture
def here(rwm_: Terminal) -> Path:
    """A directory with a configuration and an index of three states in two buckets."""
    rwm_.configure("here")
    with Index.open(rwm_.directory / "here.sqlite") as index:
        for number, (state_id, bucket) in enumerate(((ONE, "backups"), (TWO, "backups"), (THREE, "other"))):
            index.record(StateInfo(state_id, bucket, number * 1000, "capture", 0, 0), [])
    return rwm_.directory


def ask(directory: Path, line: str, shell: str = "bash") -> list[str]:
    """The output for a command line whose last word is to be completed."""
    words = line.split(" ")
    program, incomplete = words[0], words[-1]
    done = programs.run(
        [program],
        cwd=directory,
        env={
            **os.environ,
            f"_{program.upper()}_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": incomplete if shell == "fish" else str(len(words) - 1),
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def words(directory: Path, line: str) -> list[str]:
    """The suggestions for bash."""
    return [line.removeprefix("plain,") for line in ask(directory, line)]


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("rwm st", ["state", "storage"]),
        ("rwmfs u", ["umount"]),
        ("rwm state f", ["forget"]),
        ("rwm completion z", ["zsh"]),
        ("rwm -c here.conf state sync ", ["backups", "other"]),
        ("rwm -c here.conf state list b", ["backups"]),
        ("rwm -c here.conf state list -b o", ["other"]),
        ("rwm -c here.conf storage check o", ["other"]),
        ("rwm -c here.conf prune ", ["backups", "other"]),
        ("rwm -c here.conf state show ", [THREE[:12], TWO[:12], ONE[:12]]),
        ("rwm -c here.conf state show 2", [TWO[:12]]),
        ("rwm state show -c here.conf 2", [TWO[:12]]),
        ("rwm -c here.conf state diff 111111111111 3", [THREE[:12]]),
        ("rwm -c here.conf state show -b backups ", [TWO[:12], ONE[:12], "latest", "last-clean"]),
        ("rwm -c here.conf state forget -b other ", [THREE[:12], "latest", "last-clean"]),
        ("rwm -c here.conf prune backups --keep-state ", [TWO[:12], ONE[:12], "latest", "last-clean"]),
        ("rwmfs -c here.conf mount other --at ", [THREE[:12], "latest", "last-clean"]),
        ("rwmfs -c here.conf mount ba", ["backups"]),
        ("rwm -c here.conf state show x", []),
        ("rwm -c nowhere.conf state show ", []),
        ("rwm state show ", []),
    ],
)
def test_words_are_completed(here: Path, line: str, suggested: list[str]) -> None:
    assert words(here, line) == suggested


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("rwm -c here.conf state capture m", ["machines", "machines/host1", "machines/host2"]),
        ("rwm -c here.conf state list machines/host1", ["machines/host1"]),
        ("rwm -c here.conf state show -b machines ", [FIVE[:12], FOUR[:12], "latest", "last-clean"]),
        ("rwm -c here.conf state show -b machines/host1 ", [FOUR[:12], "latest", "last-clean"]),
    ],
)
def test_locations_are_completed(here: Path, line: str, suggested: list[str]) -> None:
    with Index.open(here / "here.sqlite") as index:
        for number, (state_id, prefix) in enumerate(((FOUR, "host1/"), (FIVE, "host2/"))):
            info = StateInfo(state_id, "machines", number * 1000, "capture", 0, 0, prefix=prefix)
            index.record(info, [])
    assert words(here, line) == suggested


def test_the_output_format_of_each_shell(here: Path) -> None:
    line = "rwm -c here.conf state show 1"
    assert ask(here, line, "bash") == ["plain,111111111111"]
    assert ask(here, line, "zsh") == ["plain", "111111111111", "backups 1970-01-01T00:00:00Z"]
    assert ask(here, line, "fish") == ["plain,111111111111\tbackups 1970-01-01T00:00:00Z"]


def test_no_index_is_created(rwm_: Terminal) -> None:
    rwm_.configure("here", index_path=str(rwm_.directory / "no" / "index.sqlite"))
    assert ask(rwm_.directory, "rwm -c here.conf state show ") == []
    assert sorted(path.name for path in rwm_.directory.iterdir()) == ["here.conf"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_damaged_index_and_warnings_print_nothing(here: Path, shell: str) -> None:
    (here / "here.conf").chmod(0o644)
    assert ask(here, "rwm -c here.conf state sync o", shell)
    for path in here.glob("here.sqlite*"):
        path.write_bytes(b"garbage " * 1000)
    assert ask(here, "rwm -c here.conf state sync o", shell) == []
    assert (here / "here.sqlite").read_bytes() == b"garbage " * 1000
    (here / "here.conf").write_text("a: [1\n")
    assert ask(here, "rwm -c here.conf state sync o", shell) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_names_with_shell_characters_are_not_suggested(here: Path, shell: str) -> None:
    nasty = ["a b", "a\nb", "a\x1b[31m", "a$(touch x)", "a`touch x`", "a;b", "a*", "a'b", 'a"b', "aä", "a,b", "a|b"]
    with Index.open(here / "here.sqlite") as index:
        for number, name in enumerate(nasty):
            index.record(StateInfo(f"a{number:063x}", name, 0, "capture", 0, 0), [])
    assert ask(here, "rwm -c here.conf state sync a", shell) == []
    assert ask(here, "rwm -c here.conf state show a", shell) == []
    assert ask(here, "rwm -c here.conf state show 1", shell) != []


@pytest.mark.parametrize("program", ["rwm", "rwmfs"])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell(rwm_: Terminal, program: str, shell: str) -> None:
    done = programs.run([program, "completion", shell], env=os.environ, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_{program.upper()}_COMPLETE={shell}_complete" in done.stdout


def test_other_shells_are_refused(rwm_: Terminal) -> None:
    assert rwm_("completion", "tcsh") == 2
    assert "'bash', 'zsh', 'fish'" in rwm_.err


def test_completion_in_bash(here: Path) -> None:
    """As in docs/command-line.md: eval, then Tab."""
    for program in ("rwm", "rwmfs"):
        tool = here / program
        tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m {program} "$@"\n')
        tool.chmod(0o755)
    script = """
eval "$(rwm completion bash)"
eval "$(rwmfs completion bash)"
complete -p rwm rwmfs > /dev/null || exit 9
COMP_WORDS=(rwm -c here.conf state show 1); COMP_CWORD=5; _rwm_completion rwm; echo "${COMPREPLY[@]}"
COMPREPLY=()
COMP_WORDS=(rwmfs -c here.conf mount other --at ""); COMP_CWORD=6; _rwmfs_completion rwmfs; echo "${COMPREPLY[@]}"
"""
    done = process.run(
        ["bash", "-c", script],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{here}:/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["111111111111", "333333333333 latest last-clean"]


def test_common_options_do_not_change_suggestions(here: Path) -> None:
    assert words(here, "rwm --json -v -c here.conf state sync o") == ["other"]
    assert json.loads((here / "here.conf").read_text())["restic_bucket"] == "bucket1"
