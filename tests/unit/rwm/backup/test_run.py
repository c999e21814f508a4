"""A run of backups with a restic that does as it is told: nothing that fails hides what succeeded, or runs on."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.backup.report import BackupResult, Report, combine_outcomes
from rwm.backup.run import run_backups
from rwm.backup.run_lock import hold_lock
from rwm.backup.selection import select_backups
from rwm.cli.main import cli
from rwm.config import Config, load_config
from rwm.console import error_boundary
from rwm.errors import AccessDenied, CommandMissing, ConfigError, IndexUnusable, Unreachable, UsageError
from rwm.index import Index
from rwm.model import Outcome, StateInfo
from rwm.restic.run import Result
from rwm.storage.policy import protected_policy
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"

RESTIC = """#!/bin/sh
echo "$*" >> "$RESTIC_LOG"
echo "restic says $1"
echo "restic warns of $1" >&2
case "$*" in *code-*) code="${*##*code-}"; exit "${code%% *}";; esac
[ "$1" != forget ] || exit "${FORGET_CODE:-0}"
"""


class Host:
    """A machine to back up: its configuration, restic, and what restic was asked."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.log = directory / "restic.log"
        self.said: list[str] = []
        (directory / "bin").mkdir()
        restic = directory / "bin" / "restic"
        restic.write_text(RESTIC)
        restic.chmod(0o755)
        for tool in ("mv", "sleep", "wc"):
            (directory / "bin" / tool).symlink_to(shutil.which(tool) or "missing")
        monkeypatch.setenv("PATH", str(directory / "bin"))  # and no real restic
        monkeypatch.setenv("RESTIC_LOG", str(self.log))
        self.s3 = MemoryS3(BUCKET)
        self.s3.policies[BUCKET] = protected_policy(BUCKET, "arn:aws:iam:::user/admin", "arn:aws:iam:::user/user1")
        self.s3.put(BUCKET, "config", b"{}")
        monkeypatch.setattr("rwm.s3.connect", lambda *_: self.s3)

    def config(self, backups: dict[str, Any], **more: Any) -> Config:
        path = self.directory / "rwm.conf"
        path.touch(mode=0o600)
        values = {
            "s3_endpoint_url": "http://127.0.0.1:9",
            "s3_access_key": "user1",
            "s3_secret_key": "s3-secret-value",
            "restic_bucket": BUCKET,
            "restic_password": "restic-password-value",
            "backups": {name: {"filesdirs": ["/etc"], **entry} for name, entry in backups.items()},
            "index_path": str(self.directory / "index.sqlite"),
            "lock_path": str(self.directory / "backup.lock"),
        }
        path.write_text(json.dumps({**values, **more}))
        return load_config(path, {})

    def open_index(self) -> Index:
        return Index.open(self.directory / "index.sqlite")

    def run(self, backups: dict[str, Any], *, open_index: Callable[[], Index] | None = None, **more: Any) -> Report:
        """Run all of them, with restic's output collected."""
        config = self.config(backups, **more)
        lines = self.said
        return run_backups(
            config,
            config.backups,
            self.s3,
            open_index or self.open_index,
            lines.append,
            lambda stream, line: lines.append(f"{stream}: {line}"),
        )

    @property
    def calls(self) -> list[str]:
        """restic's command lines."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def trail(self) -> list[str]:
        """What hooks noted with ``echo … >> trail``."""
        path = self.directory / "trail"
        return path.read_text().splitlines() if path.exists() else []

    def note(self, text: str) -> str:
        """A hook that notes it."""
        return f'echo "{text}" >> {self.directory}/trail'


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def ends(code: int) -> dict[str, Any]:
    """An entry whose restic ends with this code."""
    return {"tags": [f"code-{code}"]}


def outcomes(report: Report) -> dict[str, str]:
    return {result.name: result.outcome for result in report.backups}


def test_all_is_well(host: Host) -> None:
    report = host.run({"etc": {}, "home": {"filesdirs": ["/home"]}}, retention={"keep-last": 3, "keep-within": "30d"})
    assert host.calls == ["backup -- /etc", "backup -- /home", "forget --prune --keep-last=3 --keep-within=30d"]
    assert outcomes(report) == {"etc": "ok", "home": "ok"}
    assert report.forget == Result("ok", 0, "")
    assert (report.outcome, report.exit_code, report.warnings, report.errors) == ("ok", 0, [], [])
    assert report.state is not None
    assert report.state == host.open_index().resolve("latest", BUCKET)
    assert (report.state.origin, report.state.outcome, report.state.objects) == ("backup", "ok", 1)


def test_output_of_children_comes_while_they_run(host: Host) -> None:
    host.run({"etc": {"prerun": ["echo before"], "postrun": ["echo after >&2"]}})
    wanted = ["backup etc", "stdout: before", "stdout: restic says backup", "stderr: after"]
    assert [line for line in host.said if line in wanted] == wanted
    assert "stderr: restic warns of backup" in host.said


@pytest.mark.parametrize(
    ("first", "second", "outcome", "code"),
    [(0, 0, "ok", 0), (0, 1, "partial", 3), (1, 0, "partial", 3), (1, 1, "failed", 1), (3, 0, "partial", 3),
     (3, 3, "partial", 3), (1, 3, "partial", 3), (12, 12, "failed", 1)],
)  # fmt: skip
def test_one_that_fails_never_keeps_another_from_running(
    host: Host, first: int, second: int, outcome: str, code: int
) -> None:
    report = host.run({"a": ends(first), "b": ends(second)}, retention={"keep-last": 3})
    assert [call.split(" ", 1)[0] for call in host.calls[:2]] == ["backup"] * 2
    assert [result.exit_code for result in report.backups] == [first, second]
    assert (report.outcome, report.exit_code) == (outcome, code)
    assert (report.forget is not None) == (outcome == "ok")
    assert any(call.startswith("forget") for call in host.calls) == (outcome == "ok")
    assert report.state
    assert report.state.outcome == outcome


def test_a_reason_is_given_in_words(host: Host) -> None:
    report = host.run({"a": ends(10), "b": ends(3)})
    assert "rwm restic init" in report.backups[0].detail
    assert "could not be read" in report.backups[1].detail


class TestHooks:
    def test_they_run_around_restic_and_know_what_for(self, host: Host) -> None:
        prerun = [host.note("one $RWM_BACKUP $(wc -l < $RESTIC_LOG)"), host.note("two")]
        postrun = [host.note("after $RWM_BACKUP $RWM_BACKUP_OUTCOME $(wc -l < $RESTIC_LOG)")]
        host.log.touch()
        host.run({"etc": {"prerun": prerun, "postrun": postrun}})
        assert host.trail == ["one etc 0", "two", "after etc ok 1"]

    def test_a_failed_prerun_skips_restic_but_not_postrun(self, host: Host) -> None:
        postrun = [host.note("cleanup $RWM_BACKUP_OUTCOME")]
        report = host.run({"etc": {"prerun": ["exit 5", host.note("never")], "postrun": postrun}, "home": {}})
        assert host.calls == ["backup -- /etc"]
        assert host.trail == ["cleanup failed"]
        assert outcomes(report) == {"etc": "failed", "home": "ok"}
        assert report.backups[0].exit_code is None
        assert report.backups[0].detail == "prerun 1 of 2 failed with exit code 5"
        assert report.exit_code == 3

    def test_a_failed_postrun_is_told_and_the_snapshot_stays(self, host: Host) -> None:
        report = host.run({"etc": {"postrun": ["false", host.note("never")]}}, retention={"keep-last": 1})
        assert outcomes(report) == {"etc": "partial"}
        assert report.backups[0].exit_code == 0
        assert report.backups[0].detail == "postrun 1 of 2 failed with exit code 1"
        assert host.trail == []
        assert report.forget is None
        assert report.exit_code == 3

    def test_a_failed_postrun_does_not_hide_that_restic_failed(self, host: Host) -> None:
        report = host.run({"etc": {**ends(1), "postrun": ["false"]}})
        assert outcomes(report) == {"etc": "failed"}
        assert "restic failed (exit code 1); postrun 1 of 1 failed" in report.backups[0].detail

    def test_one_that_is_ended_by_a_signal_has_failed(self, host: Host) -> None:
        report = host.run({"etc": {"prerun": ["kill -9 $$"]}, "home": {}})
        assert outcomes(report) == {"etc": "failed", "home": "ok"}

    @pytest.mark.parametrize("kind", ["prerun", "postrun"])
    def test_one_that_cannot_be_started_keeps_nothing_from_running(self, host: Host, kind: str) -> None:
        report = host.run({"etc": {kind: ["# " + "x" * 200_000]}, "home": {}})
        assert outcomes(report) == {"etc": "failed" if kind == "prerun" else "partial", "home": "ok"}
        assert f"{kind} 1 of 1 failed: sh could not be started" in report.backups[0].detail
        assert report.state

    def test_command_lines_may_hold_secrets_and_are_not_repeated(self, host: Host) -> None:
        hooks = ["true hunter2", "false hunter2"]
        report = host.run({"a": {"prerun": hooks}, "b": {"postrun": hooks}})
        assert [result.detail for result in report.backups] == [
            f"{kind} 2 of 2 failed with exit code 1" for kind in ("prerun", "postrun")
        ]
        assert "hunter2" not in "".join(host.said) + repr(report)
        assert [line for line in host.said if "run " in line] == [
            f"{kind} {number} of 2" for kind in ("prerun", "postrun") for number in (1, 2)
        ]

    @pytest.mark.parametrize(
        ("number", "end"),
        [("INT", KeyboardInterrupt), ("TERM", SystemExit), ("HUP", SystemExit)],
    )
    @pytest.mark.parametrize("during", ["prerun", "restic"])
    def test_a_signal_ends_what_runs_but_not_before_postrun(
        self, host: Host, during: str, number: str, end: type[BaseException]
    ) -> None:
        """The child sends it to its parent, which passes it on to the child."""
        interrupted = f"sleep 0.3; kill -{number} $PPID; exec sleep 60"
        if during == "restic":
            (host.directory / "bin" / "restic").write_text(f"#!/bin/sh\n{interrupted}\n")
        prerun = [interrupted] if during == "prerun" else []
        postrun = [host.note("cleanup $RWM_BACKUP_OUTCOME"), "exit 7"]
        with pytest.raises(end) as error:
            host.run({"etc": {"prerun": prerun, "postrun": postrun}, "home": {"prerun": [host.note("never")]}})
        assert not isinstance(error.value, SystemExit) or error.value.code == 128 + signal.Signals[f"SIG{number}"]
        assert host.trail == ["cleanup failed"]
        assert host.said[-1] == "error: postrun 2 of 2 failed with exit code 7"
        assert host.s3.present(BUCKET).keys() == {"config"}


@pytest.mark.parametrize("pattern", ["x" * 200_000, "NUL\0within"])
def test_a_restic_that_cannot_be_started_keeps_nothing_from_running(host: Host, pattern: str) -> None:
    report = host.run({"etc": {"excludes": [pattern]}, "home": {}}, retention={"keep-last": 1})
    assert outcomes(report) == {"etc": "failed", "home": "ok"}
    assert "restic could not be started" in report.backups[0].detail
    assert report.state
    assert report.forget is None


def test_a_restic_that_is_removed_meanwhile(host: Host) -> None:
    remove = f"mv {host.directory}/bin/restic {host.directory}/gone"
    report = host.run({"a": {}, "b": {"prerun": [remove]}, "c": {}})
    assert outcomes(report) == {"a": "ok", "b": "failed", "c": "failed"}
    assert "restic is not installed" in report.backups[1].detail
    assert report.exit_code == 3


class TestRetention:
    def test_without_one_nothing_is_forgotten(self, host: Host) -> None:
        report = host.run({"etc": {}})
        assert host.calls == ["backup -- /etc"]
        assert report.forget is None

    @pytest.mark.parametrize("code", [1, 3])
    def test_one_that_fails_is_told_and_the_backups_are_still_ok(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        monkeypatch.setenv("FORGET_CODE", str(code))
        report = host.run({"etc": {}}, retention={"keep-last": 1, "keep-within": "1d"})
        assert report.forget
        assert report.forget.exit_code == code
        assert ("snapshots could not be removed" in report.forget.detail) == (code == 3)
        assert (report.outcome, report.exit_code) == ("ok", 3)
        assert report.state
        assert report.state.outcome == "ok"

    def test_one_that_cannot_be_started_is_told(self, host: Host) -> None:
        report = host.run({"etc": {}}, retention={"keep-within": "9" * 200_000})
        assert report.forget
        assert report.forget.outcome == "failed"
        assert report.state

    def test_one_that_false_snapshots_could_push_out_is_warned_about(self, host: Host) -> None:
        report = host.run({"etc": {}}, retention={"keep-last": 5})
        (warning,) = report.warnings
        assert "keep-within" in warning
        assert f"warning: {warning}" in host.said
        assert host.run({"etc": {}}, retention={"keep-within-daily": "7d"}).warnings == []


class TestStorage:
    def test_drift_is_warned_about_and_the_backup_runs(self, host: Host) -> None:
        host.s3.states[BUCKET] = "Suspended"
        report = host.run({"etc": {}})
        assert outcomes(report) == {"etc": "ok"}
        (warning,) = report.warnings
        assert warning.startswith(f"bucket {BUCKET}: versioning is Suspended")
        assert host.said[0] == f"warning: {warning}"

    def test_a_bucket_of_its_own_is_warned_about(self, host: Host) -> None:
        host.s3.account = "admin"
        assert any("belongs to the account that backs up" in warning for warning in host.run({"etc": {}}).warnings)

    def test_a_bucket_that_is_not_there_yet(self, host: Host) -> None:
        host.s3.buckets.clear()
        report = host.run({"etc": {}})
        assert "does not exist yet" in report.warnings[0]
        assert outcomes(report) == {"etc": "ok"}
        assert report.exit_code == 3

    def test_an_account_that_may_not_see_who_owns_the_bucket_is_not_its_owner(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied() -> str:
            raise AccessDenied("ListBuckets: AccessDenied")

        monkeypatch.setattr(host.s3, "owner_id", denied)
        assert host.run({"etc": {}}).warnings == []

    def test_a_check_that_is_not_possible_keeps_nothing_from_running(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(bucket: str) -> bool:
            raise Unreachable("HeadBucket bucket1: no usable answer")

        monkeypatch.setattr(host.s3, "bucket_exists", unreachable)
        report = host.run({"etc": {}})
        assert report.warnings == [f"bucket {BUCKET} could not be checked: HeadBucket bucket1: no usable answer"]
        assert outcomes(report) == {"etc": "ok"}


class TestState:
    def test_a_plain_bucket_is_a_warning(self, host: Host) -> None:
        host.s3.states[BUCKET] = ""
        report = host.run({"etc": {}})
        assert report.state is None
        assert any(warning.startswith("no state was captured: bucket") for warning in report.warnings)
        assert (report.errors, report.exit_code) == ([], 0)

    @pytest.mark.parametrize("fault", [IndexUnusable("index: disk is full"), OSError(28, "No space left on device")])
    def test_a_capture_that_fails_hides_no_result(self, host: Host, fault: Exception) -> None:
        def broken() -> Index:
            raise fault

        report = host.run({"etc": {}}, open_index=broken)
        assert outcomes(report) == {"etc": "ok"}
        assert report.state is None
        (error,) = report.errors
        assert error == f"no state was captured: {fault}"
        assert report.exit_code == 3

    def test_it_carries_the_outcome_that_it_belongs_to(self, host: Host) -> None:
        host.run({"a": {}})
        host.s3.now += 5000
        host.run({"a": ends(3)})
        host.s3.now += 5000
        host.run({"a": ends(1)})
        assert [info.outcome for info in host.open_index().states(BUCKET)] == ["ok", "partial", "failed"]


class TestNothingCanRun:
    def test_no_restic(self, host: Host) -> None:
        (host.directory / "bin" / "restic").unlink()
        with pytest.raises(CommandMissing):
            host.run({"etc": {"prerun": [host.note("never")]}})
        assert host.trail == []

    def test_no_password(self, host: Host) -> None:
        with pytest.raises(ConfigError, match="restic password"):
            host.run({"etc": {"prerun": [host.note("never")]}}, restic_password=None)
        assert host.trail == []
        assert host.s3.present(BUCKET).keys() == {"config"}


class TestSelected:
    def test_names_in_the_order_asked_for_or_all_in_the_order_of_the_file(self, host: Host) -> None:
        config = host.config({"a": {}, "b": {}, "c": {}})
        assert list(select_backups(config, ["c", "a"], all_backups=False)) == ["c", "a"]
        assert list(select_backups(config, [], all_backups=True)) == ["a", "b", "c"]

    @pytest.mark.parametrize(("names", "all_backups"), [([], False), (["a"], True)])
    def test_names_or_all_but_not_both_and_not_neither(self, host: Host, names: list[str], all_backups: bool) -> None:
        with pytest.raises(UsageError) as error:
            select_backups(host.config({"a": {}, "b": {}}), names, all_backups=all_backups)
        assert "a, b" in error.value.hint

    def test_an_unknown_name_runs_nothing(self, host: Host) -> None:
        with pytest.raises(UsageError, match="unknown backup: x, y is not in") as error:
            select_backups(host.config({"a": {}}), ["a", "x", "y"], all_backups=False)
        assert "configured backups: a" in error.value.hint

    def test_a_configuration_without_backups(self, host: Host) -> None:
        with pytest.raises(UsageError, match="has no backups"):
            select_backups(host.config({}), [], all_backups=True)


every = st.sampled_from(["ok", "partial", "failed"])


@given(outcomes=st.lists(every, max_size=5))
def test_outcomes_together(outcomes: list[Outcome]) -> None:
    found = combine_outcomes(outcomes)
    assert (found == "ok") == (bool(outcomes) and all(outcome == "ok" for outcome in outcomes))
    assert (found == "failed") == all(outcome == "failed" for outcome in outcomes)


@given(
    outcomes=st.lists(every, min_size=1, max_size=4),
    forget=st.none() | every,
    errors=st.lists(st.just("no state was captured"), max_size=1),
)
def test_the_exit_code_is_0_only_when_all_is_done(
    outcomes: list[Outcome], forget: Outcome | None, errors: list[str]
) -> None:
    backups = [BackupResult(str(n), outcome, 0, 0.0) for n, outcome in enumerate(outcomes)]
    report = Report(backups, Result(forget, 0, "") if forget else None, None, [], errors)
    all_done = set(outcomes) == {"ok"} and forget in (None, "ok") and not errors
    assert (report.exit_code == 0) == all_done
    assert (report.exit_code == 1) == (set(outcomes) == {"failed"})
    assert report.exit_code in (0, 1, 3)


# --- the command -------------------------------------------------------------------------------------------


def command(host: Host, *words: str) -> int:
    return error_boundary.run_command(cli, "rwm", ["-c", str(host.directory / "rwm.conf"), "backup", *words])


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (3, 3)])
def test_the_command_ends_with_the_documented_code_and_shows_a_table(
    host: Host, capfd: pytest.CaptureFixture[str], code: int, expected: int
) -> None:
    host.config({"etc": ends(code)}, retention={"keep-within": "1d"})
    assert command(host, "--all") == expected
    out, err = capfd.readouterr()
    assert "restic says backup" in out
    assert any(line.startswith("etc ") for line in out.splitlines())
    assert any(line.startswith("(state)") for line in out.splitlines())
    assert any(line.startswith("(forget, prune)") for line in out.splitlines()) == (code == 0)
    assert "s3-secret-value" not in out + err
    assert "restic-password-value" not in out + err


def test_json_is_one_document_and_what_children_print_goes_elsewhere(
    host: Host, capfd: pytest.CaptureFixture[str]
) -> None:
    host.config({"etc": {"prerun": ["echo hook"]}, "home": ends(3)}, retention={"keep-last": 1})
    assert command(host, "--all", "--json") == 3
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert document["outcome"] == "partial"
    assert [(b["name"], b["outcome"], b["exit_code"]) for b in document["backups"]] == [
        ("etc", "ok", 0),
        ("home", "partial", 3),
    ]
    assert document["forget"] is None
    state = StateInfo(**{**document["state"], "captured_at": 0})
    assert (state.bucket, state.outcome) == (BUCKET, "partial")
    assert {"hook", "restic says backup", "restic warns of backup"} <= set(err.splitlines())


def test_a_second_run_is_refused_at_once(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    config = host.config({"etc": {}})
    with hold_lock(config.lock_path):
        assert command(host, "etc") == 7
    assert "another run holds the lock" in capfd.readouterr().err
    assert host.calls == []
    assert command(host, "etc") == 0


@pytest.mark.parametrize("words", [(), ("etc", "--all"), ("nope",)])
def test_a_wrong_call_is_a_usage_error(host: Host, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    host.config({"etc": {}})
    assert command(host, *words) == 2
    assert "configured backups: etc" in capfd.readouterr().err
    assert host.calls == []
