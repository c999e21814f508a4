"""With ``--json``, stdout of every command is empty or one document, also where the command fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from rwm.cli.main import cli as rwm
from rwm.errors import AccessDenied, RwmError, Unreachable
from rwmfs.cli.main import cli as rwmfs
from tests.unit.terminal import Terminal

CALLS = {
    "rwm audit": ["bucket1"],
    "rwm backup": ["--all"],
    "rwm forget": ["bucket1"],
    "rwm lock": ["bucket1", "--keep-last", "1"],
    "rwm prune": ["bucket1", "--keep-last", "1", "--dry-run"],
    "rwm recover": ["bucket1"],
    "rwm state capture": ["bucket1"],
    "rwm state diff": ["ab", "cd"],
    "rwm state export": ["ab", "state.csv"],
    "rwm state forget": ["ab", "--yes"],
    "rwm state import": ["missing.csv"],
    "rwm state list": ["--all"],
    "rwm state lock": ["ab", "--days", "1", "--yes"],
    "rwm state restore": ["ab", "--to-dir", "new"],
    "rwm state show": ["ab"],
    "rwm state sync": ["bucket1"],
    "rwm state verify": ["ab"],
    "rwm storage adopt": ["bucket1", "user1", "--yes"],
    "rwm storage check": ["bucket1"],
    "rwm storage create": ["bucket1", "user1"],
    "rwm storage delete": ["bucket1", "--yes"],
    "rwm storage freeze": ["bucket1"],
    "rwm storage grant": ["bucket1/host1", "user1"],
    "rwm storage info": ["bucket1"],
    "rwm storage list": [],
    "rwm storage revoke": ["bucket1", "user1"],
    "rwm storage thaw": ["bucket1"],
    "rwmfs mount": ["bucket1", "missing"],
    "rwmfs umount": ["missing"],
}
WITHOUT_SERVER = {"rwmfs cache clear", "rwmfs cache info", "rwm version", "rwmfs version"}
OF_OTHERS = {"rwm aws", "rwm completion", "rwm demo", "rwm restic", "rwmfs completion"}
"""Their stdout is that of another program, or for a shell."""


def leaves(name: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for word, each in command.commands.items():
            if not each.hidden:
                yield from leaves(f"{name} {word}", each)
    else:
        yield name


def test_every_command_is_tried() -> None:
    assert {*leaves("rwm", rwm), *leaves("rwmfs", rwmfs)} == {*CALLS} | WITHOUT_SERVER | OF_OTHERS


@pytest.fixture(autouse=True)
def configuration(rwm_: Terminal) -> None:
    rwm_.configure(
        "here",
        backups={"etc": {"filesdirs": ["/etc"]}},
        retention={"keep-last": 1},
        lock_path=str(rwm_.directory / "lock"),
        cache_dir=str(rwm_.directory / "cache"),
        log_path=str(rwm_.directory / "log"),
    )


@pytest.mark.parametrize("error", [Unreachable("no answer"), AccessDenied("denied")], ids=["unreachable", "denied"])
@pytest.mark.parametrize("name", CALLS)
def test_a_command_that_fails(rwm_: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, error: RwmError) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("rwm.s3.connect", fails)
    program, *words = name.split()
    command = rwm if program == "rwm" else rwmfs
    code = rwm_("-c", "here.conf", *words, *CALLS[name], "--json", command=command)
    assert code in range(1, 8)
    assert rwm_.out == "" or json.loads(rwm_.out) is not None
    assert "rwm: " in rwm_.err
    assert "internal error" not in rwm_.err
    assert rwm_("-c", "here.conf", *words, *CALLS[name], "--json", "--no-such-option", command=command) == 2
    assert rwm_.out == ""


@pytest.mark.parametrize("name", sorted(WITHOUT_SERVER))
def test_a_command_that_needs_no_server(rwm_: Terminal, name: str) -> None:
    program, *words = name.split()
    assert rwm_("-c", "here.conf", *words, "--json", command=rwm if program == "rwm" else rwmfs) == 0
    assert json.loads(rwm_.out)
