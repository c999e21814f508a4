"""``rwm backup``: exit codes, table, JSON, lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rwm.backup.run_lock import hold_lock
from rwm.cli.main import cli
from rwm.console import error_boundary
from rwm.model import StateInfo
from tests.unit.rwm.backup.backup_host import BUCKET, BackupHost, restic_exits
from tests.unit.rwm.backup.test_run import attack


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackupHost:
    return BackupHost(tmp_path, monkeypatch)


def command(host: BackupHost, *words: str) -> int:
    return error_boundary.run_command(cli, "rwm", ["-c", str(host.directory / "rwm.conf"), "backup", *words])


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (3, 3)])
def test_the_command_prints_a_table_and_has_the_documented_exit_code(
    host: BackupHost, capfd: pytest.CaptureFixture[str], code: int, expected: int
) -> None:
    host.config({"etc": restic_exits(code)}, retention={"keep-within": "1d"})
    assert command(host, "--all") == expected
    out, err = capfd.readouterr()
    assert "restic says backup" in out
    assert any(line.startswith("etc ") for line in out.splitlines())
    assert any(line.startswith("(state)") for line in out.splitlines())
    assert any(line.startswith("(forget, prune)") for line in out.splitlines()) == (code == 0)
    assert "s3-secret-value" not in out + err
    assert "restic-password-value" not in out + err


def test_a_bucket_that_is_not_safe_is_reported_loudly(host: BackupHost, capfd: pytest.CaptureFixture[str]) -> None:
    host.config({"etc": {}})
    attack(host)
    host.s3.states[BUCKET] = "Suspended"
    assert command(host, "--all") == 4
    out, err = capfd.readouterr()
    assert "(bucket)" in out and "it has no versioning" in out
    assert any(line.split()[:4] == ["(audit)", "suspect", "2", "proofs,"] for line in out.splitlines())
    assert "error: 2 proofs of an attack" in err
    assert command(host, "--all", "--json") == 4
    document = json.loads(capfd.readouterr().out)
    assert (document["versioned"], document["audit"]["proofs"]) == (False, 2)
    assert {finding["key"] for finding in document["audit"]["findings"]} == {"config"}


def test_json_is_one_document_and_output_of_children_goes_to_stderr(
    host: BackupHost, capfd: pytest.CaptureFixture[str]
) -> None:
    host.config({"etc": {"prerun": ["echo hook"]}, "home": restic_exits(3)}, retention={"keep-last": 1})
    assert command(host, "--all", "--json") == 3
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert document["outcome"] == "partial"
    assert [(b["name"], b["outcome"], b["exit_code"]) for b in document["backups"]] == [
        ("etc", "ok", 0),
        ("home", "partial", 3),
    ]
    assert document["forget"] is None
    assert document["versioned"] is True
    assert document["audit"] is None, "there is no repository"
    state = StateInfo(**{**document["state"], "captured_at": 0})
    assert (state.bucket, state.outcome) == (BUCKET, "partial")
    assert {"hook", "restic says backup", "restic warns of backup"} <= set(err.splitlines())


def test_a_second_run_fails_at_once(host: BackupHost, capfd: pytest.CaptureFixture[str]) -> None:
    config = host.config({"etc": {}})
    with hold_lock(config.lock_path):
        assert command(host, "etc") == 7
    assert "another run holds the lock" in capfd.readouterr().err
    assert host.calls == []
    assert command(host, "etc") == 0


@pytest.mark.parametrize("words", [(), ("etc", "--all"), ("nope",)])
def test_wrong_arguments_are_usage_errors(
    host: BackupHost, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    host.config({"etc": {}})
    assert command(host, *words) == 2
    assert "configured backups: etc" in capfd.readouterr().err
    assert host.calls == []


def test_a_failed_capture_says_why_once(host: BackupHost, capfd: pytest.CaptureFixture[str]) -> None:
    host.config({"etc": {}}, index_path=str(host.directory))
    assert command(host, "--all") == 3
    out, err = capfd.readouterr()
    assert (out + err).count(f"index {host.directory}: ") == 1
    assert "error: no state was captured: index " in err
    assert "not captured, see above" in out
