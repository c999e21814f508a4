"""Sources are looked at before restic starts, which skips what is not there and ends with 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rwm.backup.sources import is_mounted, missing_sources, read_mountpoints, unmet_requirement
from rwm.config import BackupConfig
from tests.unit.rwm.backup.backup_host import BackupHost, outcomes, restic_exits


def entry(*sources: str, **more: Any) -> BackupConfig:
    return BackupConfig(filesdirs=list(sources), **more)


def test_each_missing_source_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")  # restic saves the link
    sources = [f"{tmp_path}/{name}" for name in ("file", "dangling", "none", "*.txt", "file/below", "nul\0")]
    assert missing_sources(sources) == [
        f"{tmp_path}/none: does not exist",
        f"{tmp_path}/*.txt: does not exist (patterns are not expanded: name the directory, and use excludes)",
        f"{tmp_path}/file/below: Not a directory",
        f"{tmp_path}/nul\0: embedded null byte",
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_there(tmp_path: Path) -> None:
    (tmp_path / "[a]*").touch()
    assert missing_sources([f"{tmp_path}/[a]*"]) == []


def test_a_required_path_must_exist(tmp_path: Path) -> None:
    assert unmet_requirement(entry("/etc", require=[str(tmp_path)])) == ""
    unmet = unmet_requirement(entry("/etc", require=["/etc", f"{tmp_path}/marker"]))
    assert unmet == f"required {tmp_path}/marker: does not exist"


MOUNTINFO = rb"""22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
40 22 0:30 / /proc rw - proc proc rw
41 22 8:2 / /srv/data rw,noatime shared:5 master:2 - xfs /dev/sdb1 rw
42 22 8:3 / /srv/with\040blank rw - ext4 /dev/sdc1 rw
43 22 0:50 / /srv/auto rw - autofs systemd-1 rw
44 22 0:51 / /srv/auto2 rw - autofs systemd-1 rw
45 44 8:4 / /srv/auto2 rw - ext4 /dev/sdd1 rw
"""


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/", False),
        ("/etc", False),
        ("/srv", False),
        ("/srv/data", True),
        ("/srv/data/a/b", True),
        ("/srv/database", False),
        ("/srv/with blank/x", True),
        ("/srv/auto/x", False),
        ("/srv/auto2/x", True),
    ],
)
def test_a_path_is_mounted_below_any_mount_but_the_root(path: str, mounted: bool) -> None:
    assert is_mounted(path, read_mountpoints(MOUNTINFO)) is mounted


def test_every_source_of_a_mounted_entry_must_be_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(MOUNTINFO + f"50 22 8:9 / {tmp_path}/disk rw - ext4 /dev/sde1 rw\n".encode())
    monkeypatch.setattr("rwm.backup.sources.MOUNTS", mounts)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert unmet_requirement(entry(f"{tmp_path}/disk/a", f"{tmp_path}/link/b", mounted=True)) == ""
    unmet = unmet_requirement(entry(f"{tmp_path}/disk/a", f"{tmp_path}/elsewhere", mounted=True))
    assert unmet == f"{tmp_path}/elsewhere is not on a mounted file system of its own"


def test_this_machine_has_mounts() -> None:
    assert is_mounted("/proc/self", read_mountpoints(Path("/proc/self/mountinfo").read_bytes()))


class TestSources:
    def test_a_missing_source_is_partial_and_nothing_is_forgotten(self, host: BackupHost) -> None:
        missing = str(host.directory / "not-mounted")
        report = host.run({"a": {}, "b": {"filesdirs": ["/etc", missing]}}, retention={"keep-last": 1})
        assert outcomes(report) == {"a": "ok", "b": "partial"}
        assert report.backups[1].detail == f"{missing}: does not exist"
        assert (report.exit_code, report.forget) == (3, None)
        assert report.state
        assert report.state.outcome == "partial"
        assert host.calls == ["backup -- /etc", f"backup -- /etc {missing}"]

    def test_a_source_that_prerun_makes_is_there(self, host: BackupHost) -> None:
        source = host.directory / "dump"
        report = host.run({"a": {"filesdirs": [str(source)], "prerun": [f"echo data > {source}"]}})
        assert outcomes(report) == {"a": "ok"}

    def test_a_failed_restic_stays_failed_and_says_both(self, host: BackupHost) -> None:
        report = host.run({"a": {"filesdirs": ["/none-of-that-name"], **restic_exits(1)}})
        assert report.backups[0].outcome == "failed"
        assert report.backups[0].detail == "restic failed (exit code 1); /none-of-that-name: does not exist"

    @pytest.mark.parametrize("more", [{"require": ["/none-of-that-name"]}, {"filesdirs": ["/"], "mounted": True}])
    def test_an_unmet_requirement_skips_restic_but_not_postrun(self, host: BackupHost, more: dict[str, Any]) -> None:
        report = host.run({"a": {"postrun": [host.note("cleanup $RWM_BACKUP_OUTCOME")], **more}})
        assert outcomes(report) == {"a": "failed"}
        assert report.backups[0].exit_code is None
        assert host.trail == ["cleanup failed"]
        assert host.calls == []

    def test_a_relative_source_is_beside_the_configuration(self, host: BackupHost) -> None:
        (host.directory / "data").mkdir()
        report = host.run({"a": {"filesdirs": ["data"]}})
        assert outcomes(report) == {"a": "ok"}
        assert host.calls == [f"backup -- {host.directory}/data"]
