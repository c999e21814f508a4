"""The name and the mount options of a session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rwmfs.access import Access
from rwmfs.mount.session import Mount
from rwmfs.tree import SingleState
from tests.unit.fakes import FakeBucket, FakeTree, entry_for, fake_state


@pytest.fixture
def mount() -> Mount:
    state, bucket = fake_state({})
    return Mount(SingleState(state, lambda info: "own"), bucket, Path("/mnt"), buffer_size=1 << 20)


def test_the_source_is_the_state_unless_there_is_a_label(mount: Mount) -> None:
    assert mount.name == "rwmfs:bucket1@1234567890ab"
    assert "fsname=rwmfs:bucket1@1234567890ab" in mount.options
    assert "fsname=bucket1@latest" in replace(mount, label="bucket1@latest").options


def test_the_source_of_a_prefix_has_the_prefix() -> None:
    tree = FakeTree([entry_for("sites/a b,é/config", 7)], prefix="sites/a b,é/")
    mount = Mount(SingleState(tree, lambda info: "own"), FakeBucket(lambda key: b""), Path("/mnt"), buffer_size=1 << 20)
    assert "fsname=rwmfs:bucket1/sites/a_b__@1234567890ab" in mount.options


def test_special_characters_of_a_label_are_replaced(mount: Mount) -> None:
    assert "fsname=a_b_c_d_e_" in replace(mount, label="a,b c\\d\ne\u00e9").options


def test_the_mount_is_writable_for_locks_and_otherwise_restricted(mount: Mount) -> None:
    assert {"subtype=rwmfs", "noatime", "nosuid", "nodev", "noexec"} < mount.options
    assert "ro" not in mount.options


def test_other_users_are_allowed_on_request(mount: Mount) -> None:
    assert "allow_other" not in mount.options
    assert "allow_other" in replace(mount, allow_other=True).options


def test_the_kernel_checks_permissions_when_somebody_may_not_read(mount: Mount) -> None:
    assert "default_permissions" not in mount.options
    assert "default_permissions" in replace(mount, access=Access.own(umask=0o077)).options
