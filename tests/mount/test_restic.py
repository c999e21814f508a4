"""restic on a mount, verbatim: no flag that it would not need on a local repository."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import Serve, wait_until

Restic = Callable[..., subprocess.CompletedProcess[str]]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files small and large, below a directory."""
    random_bytes = random.Random(7).randbytes
    source = tmp_path / "source"
    for number in range(40):
        path = source / f"dir{number % 5}" / f"файл {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random_bytes(number * number * 2000))
    return source


@pytest.fixture
def repository(tmp_path: Path, source: Path, restic: Restic) -> Path:
    """A repository with two snapshots, and a lock that its writer left behind."""
    repository = tmp_path / "repository"
    restic(repository, "init")
    restic(repository, "backup", str(source))
    (source / "later").write_text("second snapshot")
    restic(repository, "backup", str(source))
    (repository / "locks" / ("0" * 64)).write_text("left behind")
    return repository


def test_everything_that_reads(serve: Serve, repository: Path, source: Path, restic: Restic, tmp_path: Path) -> None:
    before = content(repository)
    mount = serve(directory=repository).path
    assert "2 snapshots" in restic(mount, "snapshots").stdout
    assert "no errors were found" in restic(mount, "check").stdout
    assert "no errors were found" in restic(mount, "check", "--read-data").stdout
    restic(mount, "restore", "latest", "--target", str(tmp_path / "restored"))
    assert content(tmp_path / "restored" / source.relative_to("/")) == content(source)
    assert list((mount / "locks").iterdir()) == []
    assert content(repository) == before


@pytest.fixture
def browsed(serve: Serve, repository: Path, tmp_path: Path) -> Iterator[Path]:
    """``restic mount`` of the repository on our mount."""
    mount, browse = serve(directory=repository).path, tmp_path / "browse"
    browse.mkdir()
    environment = os.environ | {"RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": str(tmp_path / "restic-cache")}
    command = ["restic", "-r", str(mount), "mount", str(browse)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: process.poll() is not None or os.path.ismount(browse), "restic mount")
    yield browse
    process.send_signal(signal.SIGINT)  # what restic unmounts on
    output, _ = process.communicate(timeout=20)
    subprocess.run(["fusermount3", "-uz", browse], check=False, stderr=subprocess.DEVNULL)
    assert process.returncode in (0, 130), output.decode()


def test_restic_mount(browsed: Path, source: Path) -> None:
    assert content(browsed / "snapshots" / "latest" / source.relative_to("/")) == content(source)
