"""Which directories are taken, and that no symbolic link replaces one during a restore."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rwm.errors import Refused, UsageError
from tests.unit.rwm.restore.restore_setup import RestoreSetup


def test_a_directory_that_is_not_empty_is_refused_and_unchanged(setup: RestoreSetup) -> None:
    info = setup.capture("config")
    setup.target.mkdir()
    (setup.target / ".hidden").touch()
    with pytest.raises(Refused, match="is not empty"):
        setup.restore(info)
    assert setup.files() == {".hidden": b""}


def test_a_directory_of_another_user_is_refused(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.target.mkdir(mode=0o700)
    os.chown(setup.target, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refused, match="belongs to another user"):
        setup.restore(setup.capture("config"))
    assert setup.files() == {}


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_directory_writable_by_others_is_refused(setup: RestoreSetup, mode: int) -> None:
    setup.target.mkdir()
    setup.target.chmod(mode)
    with pytest.raises(Refused, match=f"written to by others .mode {mode:04o}"):
        setup.restore(setup.capture("config"))
    assert setup.files() == {}


def test_a_directory_readable_by_others_is_accepted(setup: RestoreSetup) -> None:
    setup.target.mkdir(mode=0o755)
    assert setup.restore(setup.capture("config")).objects == 1


def test_a_symbolic_link_is_refused(setup: RestoreSetup) -> None:
    (setup.directory / "real").mkdir(mode=0o700)
    setup.target.symlink_to(setup.directory / "real")
    with pytest.raises(Refused, match="symbolic link"):
        setup.restore(setup.capture("config"))
    assert setup.files(setup.directory / "real") == {}


def test_missing_parents_are_private_whatever_the_umask(setup: RestoreSetup) -> None:
    info = setup.capture("config")
    setup.target = setup.directory / "one" / "two" / "three"
    old = os.umask(0)
    try:
        setup.restore(info)
    finally:
        os.umask(old)
    for made in (setup.target, *list(setup.target.parents)[:2]):
        assert made.stat().st_mode & 0o777 == 0o700, made


def test_a_symbolic_link_put_in_its_place_is_not_followed(setup: RestoreSetup) -> None:
    """Whoever may write to the parent can replace the directory."""
    info = setup.capture("a/x", "b/x")
    victim = setup.directory / "victim"
    victim.mkdir()
    stream, moved = setup.s3.stream, setup.target.with_name("moved")

    def replace_directory(
        bucket: str, key: str, version_id: str | None = None, etag: str | None = None
    ) -> Iterator[bytes]:
        if not moved.exists():
            setup.target.rename(moved)
            setup.target.symlink_to(victim)
        return stream(bucket, key, version_id, etag)

    setup.s3.stream = replace_directory  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwm.restore.transfer.THREADS", 1)
        assert setup.restore(info).objects == 2
    assert setup.files(victim) == {}
    assert setup.files(moved) == {"a/x": b"a/x", "b/x": b"b/x"}


def test_an_empty_directory_is_accepted(setup: RestoreSetup) -> None:
    setup.target.mkdir()
    assert setup.restore(setup.capture("config")).objects == 1


def test_a_file_in_its_place_is_a_usage_error(setup: RestoreSetup) -> None:
    setup.target.touch()
    with pytest.raises(UsageError, match=str(setup.target)):
        setup.restore(setup.capture("config"))
