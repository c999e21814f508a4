"""Mountpoints: mountinfo, checks before a mount, unmounting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import MountError
from rwmfs.mount import mountpoint

MOUNTINFO = """\
22 28 0:20 / /proc rw,nosuid shared:12 - proc proc rw
40 28 0:36 / /mnt/with\\040space rw,nosuid - fuse.sshfs host:/dir rw,user_id=0
41 28 0:37 / /mnt/with\\040space rw,nosuid shared:7 - fuse.rwmfs rwmfs:bucket1@123456789abc rw,user_id=0
"""


@pytest.fixture
def mountinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO)
    monkeypatch.setattr(mountpoint, "MOUNTINFO", path)
    return path


@pytest.mark.usefixtures("mountinfo")
def test_mounted_at_returns_the_topmost_mount() -> None:
    found = mountpoint.mounted_at(Path("/mnt/with space"))
    assert found == ("fuse.rwmfs", "rwmfs:bucket1@123456789abc", "0:37")
    assert mountpoint.mounted_at(Path("/mnt")) is None


def dead(*_: object) -> bool:
    return True


def test_a_dead_mount_of_another_filesystem_is_not_unmounted(
    mountinfo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mountpoint, "is_dead", dead)
    mountinfo.write_text(f"40 28 0:36 / {tmp_path} rw,nosuid - fuse.sshfs host:/dir rw\n")
    with pytest.raises(MountError, match=r"dead: the process of the fuse\.sshfs mount there has ended"):
        mountpoint.prepare_mountpoint(tmp_path)
    with pytest.raises(MountError, match=r"fuse\.sshfs is mounted at .*, not rwmfs"):
        mountpoint.unmount(tmp_path)
    with pytest.raises(MountError, match="nothing is mounted"):
        mountpoint.unmount(tmp_path / "other")


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("fusermount3: failed to unmount /x: Device or resource busy\n", "in use"),
        ("warning\nfusermount3: entry for /x not found in /etc/mtab\n", "entry for /x not found"),
        ("", "ended with 1"),
    ],
)
def test_errors_of_fusermount(
    mountinfo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, message: str
) -> None:
    mountinfo.write_text(f"40 28 0:36 / {tmp_path} rw,nosuid - fuse.rwmfs rwmfs:b@1 rw\n")
    monkeypatch.setattr(mountpoint, "run", lambda argv: process.Completed(1, "", stderr))
    with pytest.raises(MountError, match=message):
        mountpoint.unmount(tmp_path)


def test_a_mountpoint_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MountError, match="not writable for you"):
        mountpoint.prepare_mountpoint(tmp_path)


def test_a_symbolic_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert mountpoint.prepare_mountpoint(tmp_path / "link") == tmp_path / "real"
