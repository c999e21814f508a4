"""A run with a fake restic: a failure neither hides results nor stops the other backups."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, CommandMissing, ConfigError, IndexUnusable, S3Error
from rwm.index import Index
from rwm.location import Location
from rwm.model import Acknowledgement
from rwm.restic.run import Result
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess
from tests.unit.rwm.backup.backup_host import BUCKET, BackupHost, outcomes, restic_exits
from tests.unit.rwm.trust.memory_bucket import load, with_backups


def raise_unreachable(bucket: str) -> None:
    raise S3Error(f"GetBucketPolicy {bucket}: no usable answer")


def test_all_backups_succeed(host: BackupHost) -> None:
    report = host.run({"etc": {}, "home": {"filesdirs": ["/home"]}}, retention={"keep-last": 3, "keep-within": "30d"})
    assert host.calls == ["backup -- /etc", "backup -- /home", "forget --prune --keep-last=3 --keep-within=30d"]
    assert outcomes(report) == {"etc": "ok", "home": "ok"}
    assert report.forget == Result("ok", 0, "")
    assert (report.outcome, report.exit_code, report.warnings, report.errors) == ("ok", 0, [], [])
    assert report.state is not None
    assert report.state == host.open_index().resolve("latest", Location(BUCKET))
    assert (report.state.origin, report.state.outcome, report.state.objects) == ("backup", "ok", 1)


def test_output_of_children_is_passed_on_in_order(host: BackupHost) -> None:
    host.run({"etc": {"prerun": ["echo before"], "postrun": ["echo after >&2"]}})
    wanted = ["backup etc", "stdout: before", "stdout: restic says backup", "stderr: after"]
    assert [line for line in host.output if line in wanted] == wanted
    assert "stderr: restic warns of backup" in host.output


@pytest.mark.parametrize(
    ("first", "second", "outcome", "code"),
    [(0, 0, "ok", 0), (0, 1, "partial", 3), (1, 0, "partial", 3), (1, 1, "failed", 1), (3, 0, "partial", 3),
     (3, 3, "partial", 3), (1, 3, "partial", 3), (12, 12, "failed", 1)],
)  # fmt: skip
def test_a_failed_backup_does_not_stop_the_others(
    host: BackupHost, first: int, second: int, outcome: str, code: int
) -> None:
    report = host.run({"a": restic_exits(first), "b": restic_exits(second)}, retention={"keep-last": 3})
    assert [call.split(" ", 1)[0] for call in host.calls[:2]] == ["backup"] * 2
    assert [result.exit_code for result in report.backups] == [first, second]
    assert (report.outcome, report.exit_code) == (outcome, code)
    assert (report.forget is not None) == (outcome == "ok")
    assert any(call.startswith("forget") for call in host.calls) == (outcome == "ok")
    assert report.state
    assert report.state.outcome == outcome


def test_the_detail_explains_the_exit_code(host: BackupHost) -> None:
    report = host.run({"a": restic_exits(10), "b": restic_exits(3)})
    assert "rwm restic init" in report.backups[0].detail
    assert "could not be read" in report.backups[1].detail


def test_a_restic_that_cannot_be_started_does_not_stop_the_run(host: BackupHost) -> None:
    longer_than_the_kernel_takes = "x" * 200_000
    report = host.run({"etc": {"excludes": [longer_than_the_kernel_takes]}, "home": {}}, retention={"keep-last": 1})
    assert outcomes(report) == {"etc": "failed", "home": "ok"}
    assert "restic could not be started" in report.backups[0].detail
    assert report.state
    assert report.forget is None


def test_restic_is_removed_during_the_run(host: BackupHost) -> None:
    remove = f"mv {host.directory}/bin/restic {host.directory}/gone"
    report = host.run({"a": {}, "b": {"prerun": [remove]}, "c": {}})
    assert outcomes(report) == {"a": "ok", "b": "failed", "c": "failed"}
    assert "restic is not installed" in report.backups[1].detail
    assert report.exit_code == 3


class TestRetention:
    def test_nothing_is_forgotten_without_retention(self, host: BackupHost) -> None:
        report = host.run({"etc": {}})
        assert host.calls == ["backup -- /etc"]
        assert report.forget is None

    @pytest.mark.parametrize("code", [1, 3])
    def test_a_failed_forget_leaves_the_backups_ok(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        monkeypatch.setenv("FORGET_CODE", str(code))
        report = host.run({"etc": {}}, retention={"keep-last": 1, "keep-within": "1d"})
        assert report.forget
        assert report.forget.exit_code == code
        assert ("snapshots could not be removed" in report.forget.detail) == (code == 3)
        assert (report.outcome, report.exit_code) == ("ok", 3)
        assert report.state
        assert report.state.outcome == "ok"

    def test_a_forget_that_cannot_be_started_has_failed(self, host: BackupHost) -> None:
        report = host.run({"etc": {}}, retention={"keep-within": "9" * 200_000})
        assert report.forget
        assert report.forget.outcome == "failed"
        assert report.state

    def test_a_strict_machine_applies_no_retention(self, host: BackupHost) -> None:
        users = [UserAccess("arn:aws:iam:::user/user1", strict=True)]
        host.s3.policies[BUCKET] = protected_policy(BUCKET, "arn:aws:iam:::user/admin", users)
        report = host.run({"etc": {}}, retention={"keep-last": 1, "keep-within": "1d"})
        assert host.calls == ["backup -- /etc"]
        assert (report.outcome, report.exit_code, report.forget) == ("ok", 0, None)
        assert any(f"the admin runs rwm forget {BUCKET}" in line for line in host.output)

    @pytest.mark.parametrize(("code", "forget"), [(0, "failed"), (1, None)])
    def test_a_policy_that_cannot_be_read_keeps_the_results_of_the_backups(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch, code: int, forget: str | None
    ) -> None:
        monkeypatch.setattr(host.s3, "policy", raise_unreachable)
        report = host.run({"etc": restic_exits(code)}, retention={"keep-last": 1, "keep-within": "1d"})
        assert [result.exit_code for result in report.backups] == [code]
        assert (report.forget and report.forget.outcome) == forget
        assert report.state, "a state records the outcome all the same"
        assert not any(call.startswith("forget") for call in host.calls)

    def test_retention_without_keep_within_is_warned_about(self, host: BackupHost) -> None:
        report = host.run({"etc": {}}, retention={"keep-last": 5})
        (warning,) = report.warnings
        assert "keep-within" in warning
        assert f"warning: {warning}" in host.output
        assert host.run({"etc": {}}, retention={"keep-within-daily": "7d"}).warnings == []


class TestState:
    def test_an_unversioned_bucket_has_no_state_and_ends_the_run_with_4(self, host: BackupHost) -> None:
        host.s3.states[BUCKET] = ""
        report = host.run({"etc": {}})
        assert report.state is None
        assert any(warning.startswith("no state was captured: bucket") for warning in report.warnings)
        assert (report.outcome, report.errors, report.is_versioned, report.exit_code) == ("ok", [], False, 4)
        assert f"error: versioning of bucket {BUCKET} is off: what is overwritten is lost" in host.output

    def test_suspended_versioning_ends_the_run_with_4(self, host: BackupHost) -> None:
        host.s3.states[BUCKET] = "Suspended"
        report = host.run({"etc": {}})
        assert report.state is not None
        assert (report.outcome, report.is_versioned, report.exit_code) == ("ok", False, 4)
        assert host.run({"etc": restic_exits(1)}).exit_code == 1

    def test_versioning_that_cannot_be_read_is_not_known(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(bucket: str) -> str:
            raise AccessDenied("GetBucketVersioning: AccessDenied")

        monkeypatch.setattr(host.s3, "versioning", denied)
        assert host.run({"etc": {}}).is_versioned is None

    @pytest.mark.parametrize("fault", [IndexUnusable("index: disk is full"), OSError(28, "No space left on device")])
    def test_a_failed_capture_keeps_the_results_of_the_backups(self, host: BackupHost, fault: Exception) -> None:
        def broken() -> Index:
            raise fault

        report = host.run({"etc": {}}, open_index=broken)
        assert outcomes(report) == {"etc": "ok"}
        assert report.state is None
        (error,) = report.errors
        assert error == f"no state was captured: {fault}"
        assert report.exit_code == 3

    def test_the_state_is_that_of_the_configured_prefix(self, host: BackupHost) -> None:
        host.s3.put(BUCKET, "host1/config", b"{}")
        report = host.run({"a": {}}, restic_bucket=f"{BUCKET}/host1/")
        assert report.state
        assert (report.state.location, report.state.objects) == (Location(BUCKET, "host1/"), 1)
        assert f"capture the state of {BUCKET}/host1" in host.output

    def test_a_state_records_the_outcome_of_its_backups(self, host: BackupHost) -> None:
        host.run({"a": {}})
        host.s3.now += 5000
        host.run({"a": restic_exits(3)})
        host.s3.now += 5000
        host.run({"a": restic_exits(1)})
        assert [info.outcome for info in host.open_index().states(Location(BUCKET))] == ["ok", "partial", "failed"]


class TestPreconditions:
    def test_without_restic_nothing_runs(self, host: BackupHost) -> None:
        (host.directory / "bin" / "restic").unlink()
        with pytest.raises(CommandMissing):
            host.run({"etc": {"prerun": [host.note("never")]}})
        assert host.trail == []

    def test_without_a_password_nothing_runs(self, host: BackupHost) -> None:
        with pytest.raises(ConfigError, match="restic password"):
            host.run({"etc": {"prerun": [host.note("never")]}}, restic_password=None)
        assert host.trail == []
        assert host.s3.present(BUCKET).keys() == {"config"}


def attack(host: BackupHost) -> None:
    """Put a repository into the bucket, and delete its config without a lock."""
    bucket, _ = with_backups("")
    bucket.now += 3_600_000
    bucket.delete("config")
    load(host.s3, bucket, bucket.now + 5000)


class TestAudit:
    def test_a_proof_ends_the_run_with_4(self, host: BackupHost) -> None:
        attack(host)
        report = host.run({"etc": {}})
        assert report.audit is not None
        assert (report.outcome, report.exit_code, report.audit.verdict) == ("ok", 4, "suspect")
        assert {finding.rule.code for finding in report.audit.findings} == {"removed-config", "unlocked-removal"}
        assert "proof: removed-config: config was removed: config" in host.output
        assert any(line.startswith("error: 2 proofs of an attack or a fault in the bucket") for line in host.output)

    def test_an_honest_history_is_clean(self, host: BackupHost) -> None:
        bucket, _ = with_backups("")
        load(host.s3, bucket, bucket.now + 5000)
        report = host.run({"etc": {}})
        assert report.audit is not None
        assert (report.audit.verdict, report.audit.proofs, report.audit.hints) == ("clean", 0, 0)
        assert (report.audit.has_packs, report.exit_code) == (True, 0)

    def test_a_large_repository_is_audited_without_packs(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rwm.backup.quick_audit.SMALL", 0)
        attack(host)
        report = host.run({"etc": {}})
        assert report.audit is not None
        assert (report.audit.has_packs, report.audit.proofs) == (False, 2)

    def test_acknowledged_findings_do_not_count(self, host: BackupHost) -> None:
        attack(host)
        for code in ("removed-config", "unlocked-removal"):
            judged = Acknowledgement(code, host.s3.now, 0, "we did it")
            host.open_index().audits.acknowledge(BUCKET, judged)
        report = host.run({"etc": {}})
        assert report.audit is not None
        assert (report.audit.proofs, report.audit.findings, report.exit_code) == (0, (), 0)

    def test_it_is_turned_off(self, host: BackupHost) -> None:
        attack(host)
        report = host.run({"etc": {}}, audit={"after_backup": False})
        assert (report.audit, report.exit_code) == (None, 0)

    @pytest.mark.parametrize("audit", [{}, {"except": ["no-such-code"]}])
    def test_an_audit_that_fails_does_not_fail_the_backup(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch, audit: dict[str, object]
    ) -> None:
        def denied(*_: object, **__: object) -> None:
            raise AccessDenied("ListObjectVersions: AccessDenied")

        if not audit:
            monkeypatch.setattr("rwm.backup.quick_audit.audit_location", denied)
        report = host.run({"etc": {}}, audit=audit)
        assert (report.audit, report.exit_code) == (None, 0)
        (warning,) = report.warnings
        assert warning.startswith("the bucket was not audited: ")
        assert f"warning: {warning}" in host.output
