"""Warnings on a bucket that does not protect its backups."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, Unreachable
from rwm.storage import UserAccess
from rwm.storage.policy import protected_policy
from tests.unit.memory import of_object
from tests.unit.rwm.backup.backup_host import BUCKET, BackupHost, outcomes


class TestBucketWarnings:
    def test_drift_is_a_warning(self, host: BackupHost) -> None:
        host.s3.states[BUCKET] = "Suspended"
        report = host.run({"etc": {}})
        assert outcomes(report) == {"etc": "ok"}
        (warning,) = report.warnings
        assert warning.startswith(f"bucket {BUCKET}: versioning is Suspended")
        assert host.output[0] == f"warning: {warning}"

    def test_a_bucket_owned_by_the_account_is_a_warning(self, host: BackupHost) -> None:
        host.s3.account = "admin"
        assert any("belongs to the account that backs up" in warning for warning in host.run({"etc": {}}).warnings)

    def test_a_missing_bucket_is_a_warning(self, host: BackupHost) -> None:
        host.s3.buckets.clear()
        report = host.run({"etc": {}})
        assert "does not exist yet" in report.warnings[0]
        assert outcomes(report) == {"etc": "ok"}
        assert report.exit_code == 3

    def test_an_account_that_may_not_read_the_owner_is_not_the_owner(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied() -> str:
            raise AccessDenied("ListBuckets: AccessDenied")

        monkeypatch.setattr(host.s3, "owner_id", denied)
        assert host.run({"etc": {}}).warnings == []

    def test_a_failed_check_is_a_warning(self, host: BackupHost, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(bucket: str) -> bool:
            raise Unreachable("GetBucketPolicy bucket1: no usable answer")

        monkeypatch.setattr(host.s3, "policy", unreachable)
        report = host.run({"etc": {}})
        assert report.warnings == [f"bucket {BUCKET} could not be checked: GetBucketPolicy bucket1: no usable answer"]
        assert outcomes(report) == {"etc": "ok"}

    def test_settings_that_may_not_be_read_are_one_warning(
        self, host: BackupHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(bucket: str) -> str:
            raise of_object(AccessDenied, "", "AccessDenied (HTTP 403)")

        for reader in ("versioning", "acl", "policy", "lifecycle_rules"):
            monkeypatch.setattr(host.s3, reader, denied)
        (warning,) = host.run({"etc": {}}).warnings
        text = "versioning, acl, policy, lifecycle cannot be checked: AccessDenied (HTTP 403)"
        assert warning == f"bucket {BUCKET}: {text}"

    def test_a_bucket_whose_users_have_prefixes_is_not_for_a_repository_at_its_root(self, host: BackupHost) -> None:
        users = [UserAccess("arn:aws:iam:::user/user1", f"host{number}/") for number in (1, 2, 4, 5)]
        host.s3.policies[BUCKET] = protected_policy(BUCKET, "arn:aws:iam:::user/admin", users)
        (warning,) = host.run({"etc": {}}).warnings
        detail = (
            "no user may write to all of it, but below host1/, host2/, host4/, ...: add the prefix to restic_bucket"
        )
        assert warning == f"bucket {BUCKET}: {detail}"
        assert host.run({"etc": {}}, restic_bucket=f"{BUCKET}/host2").warnings == []
        (warning,) = host.run({"etc": {}}, restic_bucket=f"{BUCKET}/host3").warnings
        assert warning == f"bucket {BUCKET}: no user may write to all of {BUCKET}/host3"
