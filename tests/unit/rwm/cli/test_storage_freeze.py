"""``rwm storage freeze`` and ``thaw``: exit codes, output, and the proof with a machine's keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rwm.cli.storage_freeze import connect_user
from rwm.console import App
from rwm.errors import AccessDenied, S3Error
from rwm.location import Location
from rwm.model import Freeze, FrozenUser
from rwm.storage import Attempt
from rwm.storage.attempts import attempt
from rwm.storage.frozen import frozen_policy
from rwm.storage.grants import same_policy
from tests.unit.conftest import FillDisk
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, SHARED, USER, good
from tests.unit.terminal import Terminal

STORAGE = ("-c", "here.conf", "storage")


@pytest.fixture
def shared(s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> MemoryS3:
    """bucket1 with the policy of two machines."""
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    monkeypatch.setattr("rwm.storage.freeze_proof._PROOF_SECONDS", 0)
    s3.policies["bucket1"] = good(SHARED)
    s3.put("bucket1", "host1/config", b"1")
    return s3


def test_a_freeze_says_who_is_frozen_and_captures(rwm_: Terminal, shared: MemoryS3) -> None:
    assert rwm_(*STORAGE, "freeze", "bucket1", "--note", "stolen\x1b keys") == 0
    first, second, captured = rwm_.out.splitlines()
    assert first.startswith(f"{USER} can still read, but write and delete nothing in bucket bucket1, since 20")
    assert first.endswith("(stolen\\x1b keys)")
    assert "user2 can still read" in second
    assert captured.startswith("captured state ")
    assert rwm_(*STORAGE, "thaw", "bucket1", "--user", "user1") == 0
    assert "user2 can still read" in rwm_.out
    assert rwm_(*STORAGE, "thaw", "bucket1") == 0
    assert rwm_.out == "bucket bucket1 is thawed: its former policy is back\n"
    assert shared.policies["bucket1"] == good(SHARED)
    assert rwm_(*STORAGE, "thaw", "bucket1") == 1


def test_a_thaw_without_a_record_of_the_freeze_does_not_say_that_all_is_back(rwm_: Terminal, shared: MemoryS3) -> None:
    """Another computer has frozen the bucket."""
    users = (FrozenUser(USER, True, 0, ""),)
    shared.policies["bucket1"] = frozen_policy(Freeze("bucket1", ADMIN, good(SHARED), [], users)) or {}
    assert rwm_(*STORAGE, "thaw", "bucket1") == 0
    assert rwm_.out == "bucket bucket1 is thawed: the denies of the freeze are gone\n"
    assert "lifecycle rules stay disabled" in rwm_.err and "below rwm/admin/freezes/ has both" in rwm_.err
    assert same_policy(shared.policies["bucket1"], good(SHARED))


def test_a_failed_capture_does_not_hide_that_the_freeze_holds(rwm_: Terminal, shared: MemoryS3) -> None:
    shared.states["bucket1"] = ""
    assert rwm_(*STORAGE, "freeze", "bucket1", "--json") == 3
    document = json.loads(rwm_.out)
    assert (len(document["frozen"]), document["state"], document["proof"]) == (2, None, None)
    assert "bucket1 is frozen, but its state is not captured" in rwm_.err


@pytest.mark.usefixtures("shared")
def test_a_full_disk_does_not_hide_that_the_freeze_holds(rwm_: Terminal, fill_disk: FillDisk) -> None:
    fill_disk(0)
    assert rwm_(*STORAGE, "freeze", "bucket1") == 3
    assert len(rwm_.out.splitlines()) == 2
    assert "bucket1 is frozen, but its state is not captured: a temporary file cannot be written" in rwm_.err
    assert "set TMPDIR" in rwm_.err


@pytest.mark.parametrize("words", [("--user", "user*"), ("--user", ""), ("--note", "\udcff")])
def test_a_user_or_a_note_that_is_none_is_refused_before_anything_changes(
    rwm_: Terminal, shared: MemoryS3, words: tuple[str, str]
) -> None:
    assert rwm_(*STORAGE, "freeze", "bucket1", *words) == 2
    assert "internal error" not in rwm_.err
    assert shared.policies["bucket1"] == good(SHARED)


def test_a_user_that_the_policy_does_not_name_needs_a_proof(
    rwm_: Terminal, shared: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    rwm_.configure("admin", s3_access_key="machine")
    assert rwm_(*STORAGE, "freeze", "bucket1", "--user", "usr1") == 4
    assert "did not name arn:aws:iam:::user/usr1" in rwm_.err
    outcome = {"answer": AccessDenied("denied")}

    def call(operation: str, **parameters: Any) -> Any:
        if error := outcome.get("answer"):
            raise error

    monkeypatch.setattr(shared, "call", call, raising=False)
    command = (*STORAGE, "freeze", "bucket1", "--user", "usr1", "--user-config", "admin.conf")
    assert rwm_(*command) == 0
    assert "PutObject" in rwm_.out
    outcome.clear()
    assert rwm_(*command, "--json") == 4
    assert "the machine can still do PutObject, DeleteObject, CreateMultipartUpload" in rwm_.err
    assert {each["outcome"] for each in json.loads(rwm_.out)["proof"]} == {"NOT REFUSED"}


def test_a_probe_needs_the_keys_of_a_machine(rwm_: Terminal, shared: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    rwm_.configure("machine", s3_access_key="machine")
    assert rwm_(*STORAGE, "check", "bucket1", "--probe") == 2
    assert rwm_(*STORAGE, "check", "bucket1", "--user-config", "machine.conf") == 2
    assert "--probe and --user-config FILE go together" in rwm_.err
    command = (*STORAGE, "check", "bucket1", "--no-listing", "--probe", "--user-config", "machine.conf")
    found = [Attempt("a", "refused"), Attempt("b", "cannot be tried", "why"), Attempt("c", "NOT REFUSED", "", True)]
    monkeypatch.setattr("rwm.storage.probe_storage", lambda admin, machine, place: found)
    assert rwm_(*command) == 0
    assert "NOT REFUSED" in rwm_.out
    found.append(Attempt("d", "NOT REFUSED"))
    assert rwm_(*command, "--json") == 4
    document = {"operation": "d", "outcome": "NOT REFUSED", "detail": "", "known": False}
    assert json.loads(rwm_.out)["probe"][-1] == document


def test_fix_shows_a_plan_asks_and_checks_again(rwm_: Terminal, shared: MemoryS3) -> None:
    command = (*STORAGE, "check", "bucket1", "--no-listing")
    shared.states["bucket1"], shared.account = "Suspended", "admin"
    assert rwm_(*command, "--dry-run") == 2
    assert rwm_(*command, "--fix", "--dry-run") == 4
    assert "would fix versioning: Suspended -> Enabled\n" in rwm_.out, "the plan is the result"
    assert rwm_(*command, "--fix") == 2, "without a terminal and --yes"
    assert shared.states["bucket1"] == "Suspended"
    assert rwm_(*command, "--fix", "--yes", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["ok"], document["fixed"][0]["setting"]) == (True, "versioning")
    assert rwm_(*command, "--fix", "--yes") == 0
    assert "bucket bucket1: nothing to fix\n" in rwm_.out


@pytest.mark.parametrize("command", [("freeze",), ("check", "--probe", "--fix", "--yes")])
@pytest.mark.parametrize(("name", "why"), [("none.conf", "No such file"), ("here.conf", "has the admin's keys")])
def test_a_configuration_that_is_not_of_a_machine_is_refused_before_anything_changes(
    rwm_: Terminal, shared: MemoryS3, command: tuple[str, ...], name: str, why: str
) -> None:
    shared.states["bucket1"] = "Suspended"
    assert rwm_(*STORAGE, *command, "bucket1", "--user-config", name) == 2
    assert why in rwm_.err
    assert (shared.policies["bucket1"], shared.states["bucket1"]) == (good(SHARED), "Suspended")


def test_a_proof_that_fails_does_not_hide_that_the_freeze_holds(
    rwm_: Terminal, shared: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(operation: str, **parameters: Any) -> Any:
        error = AccessDenied("PutObject: InvalidAccessKeyId")
        error.code = "InvalidAccessKeyId"
        raise error

    monkeypatch.setattr(shared, "call", call, raising=False)
    rwm_.configure("machine", s3_access_key="revoked")
    assert rwm_(*STORAGE, "freeze", "bucket1", "--user-config", "machine.conf") == 3
    assert "can still read, but write and delete nothing" in rwm_.out
    assert "captured state" in rwm_.out
    assert "bucket1 is frozen, but that is not proved: PutObject: InvalidAccessKeyId" in rwm_.err
    assert rwm_(*STORAGE, "freeze", "bucket1", "--user", "user9", "--user-config", "machine.conf") == 4
    assert "did not name arn:aws:iam:::user/user9" in rwm_.err
    assert "in silence; no proof: PutObject: InvalidAccessKeyId" in rwm_.err


def test_a_proof_writes_where_the_machine_may(rwm_: Terminal, tmp_path: Path) -> None:
    rwm_.configure("here")
    app = App()
    app.config_path = "here.conf"
    path = tmp_path / "machine.conf"
    text = "s3_endpoint_url: http://localhost:1\ns3_access_key: K\ns3_secret_key: S\n"
    for bucket, expected in (("bucket1/host1", "bucket1/host1"), ("other", "bucket1"), (None, "bucket1")):
        path.write_text(text + (f"restic_bucket: {bucket}\n" if bucket else ""))
        path.chmod(0o600)
        s3, place = connect_user(app, str(path), Location("bucket1"))
        assert str(place) == expected
        assert s3.endpoint_url == "http://localhost:1"


def test_only_a_refusal_counts_as_refused() -> None:
    def fail(kind: type[S3Error], code: str) -> Any:
        def action() -> None:
            error = kind("why")
            error.code = code
            raise error

        return action

    assert attempt("x", fail(AccessDenied, "AccessDenied")) == Attempt("x", "refused")
    assert attempt("x", fail(S3Error, "InternalError")) == Attempt("x", "cannot be tried", "why")
    assert attempt("x", lambda: None) == Attempt("x", "NOT REFUSED")
    with pytest.raises(AccessDenied):
        attempt("x", fail(AccessDenied, "InvalidAccessKeyId"))
    assert attempt("x", fail(AccessDenied, "QuotaExceeded")) == Attempt("x", "cannot be tried", "why")
