"""restic on a mount, with the command lines of a local repository. Each of two restics reads what the other wrote."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import repositories, restics
from tests.mount.conftest import PASSWORD, Restic, Serve, wait_until

# One worker makes the repositories of all.
pytestmark = pytest.mark.xdist_group("restic on a mount")

PAIRS = pytest.mark.parametrize(
    ("writer", "restic_program"),
    [
        ("restic-debian", "restic-current"),
        ("restic-current", "restic-debian"),
        pytest.param("restic-debian", "restic-debian", marks=pytest.mark.slow),
        pytest.param("restic-current", "restic-current", marks=pytest.mark.slow),
    ],
    indirect=True,
)
"""Who wrote the repository, and who reads it."""


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_current_restic_is_newer_and_has_its_own_exit_codes() -> None:
    assert restics.version(restics.program("restic-current")) >= restics.SINCE_OWN_EXIT_CODES
    assert restics.version(restics.program("restic-current")) >= restics.version(restics.program("restic-debian"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files small and large, below a directory; one of them can be compressed."""
    random_bytes = random.Random(7).randbytes
    source = tmp_path_factory.mktemp("source")
    for number in range(40):
        path = source / f"dir{number % 5}" / f"файл {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random_bytes(number * number * 1500))
    (source / "text").write_text("the same line over and over\n" * 200_000)
    return source


@pytest.fixture(scope="module")
def writer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Restic:
    """The restic that wrote the repository."""
    return Restic(restics.program(request.param), tmp_path_factory.mktemp("writers-cache"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, source: Path, writer: Restic) -> Path:
    """A repository with two snapshots, unused data, and a lock that its writer left behind. No test changes it."""
    repository = tmp_path_factory.mktemp("repository")
    (source / "later").unlink(missing_ok=True)
    repositories.create(repository, PASSWORD)
    writer(repository, "backup", str(source))
    (source / "unused").write_bytes(random.Random(8).randbytes(50_000))
    writer(repository, "backup", str(source))
    writer(repository, "forget", "latest")
    (source / "unused").unlink()
    (source / "later").write_text("second snapshot")
    writer(repository, "backup", str(source))
    (repository / "locks" / ("0" * 64)).write_text("left behind")
    return repository


@PAIRS
def test_reading_commands_work_verbatim(
    serve: Serve, repository: Path, source: Path, restic: Restic, tmp_path: Path
) -> None:
    before = content(repository)
    mount = serve(directory=repository).path
    assert "2 snapshots" in restic(mount, "snapshots")
    assert "no errors were found" in restic(mount, "check")
    assert "no errors were found" in restic(mount, "check", "--read-data")
    restic(mount, "restore", "latest", "--target", str(tmp_path / "restored"))
    assert content(tmp_path / "restored" / source.relative_to("/")) == content(source)
    assert str(source / "dir3" / "файл 3") in restic(mount, "ls", "latest")
    assert str(source / "later") in restic(mount, "find", "later")
    assert restic(mount, "dump", "latest", str(source / "later")) == "second snapshot"
    first, second = (snapshot["id"] for snapshot in json.loads(restic(mount, "snapshots", "--json")))
    assert f"+    {source / 'later'}" in restic(mount, "diff", first, second)
    assert json.loads(restic(mount, "stats", "--json"))["total_size"] > 25_000_000
    assert json.loads(restic(mount, "cat", "config"))["version"] == 2
    assert len(restic(mount, "list", "packs").split()) == len(list((repository / "data").rglob("*/*")))
    assert restic(mount, "list", "locks") == ""
    assert "*" in restic(mount, "key", "list")
    restic(mount, "unlock")
    assert list((mount / "locks").iterdir()) == []
    assert content(repository) == before


@pytest.fixture
def browsed(serve: Serve, repository: Path, restic: Restic, tmp_path: Path) -> Iterator[Path]:
    """``restic mount`` of the repository on our mount."""
    mount, browse, output = serve(directory=repository).path, tmp_path / "browse", tmp_path / "output"
    browse.mkdir()
    with restic.started(mount, "mount", str(browse), output=output) as process:
        wait_until(lambda: process.poll() is not None or os.path.ismount(browse), "restic mount")
        yield browse
    subprocess.run(["fusermount3", "-uz", browse], check=False, stderr=subprocess.DEVNULL)
    assert process.returncode in (0, 130), output.read_text()


@pytest.mark.parametrize("writer", ["restic-current"], indirect=True)
def test_restic_mount_and_parallel_commands(browsed: Path, source: Path, restic: Restic, tmp_path: Path) -> None:
    """``restic mount`` holds a lock; parallel commands see it and leave it."""
    mount = tmp_path / "mnt"
    assert content(browsed / "snapshots" / "latest" / source.relative_to("/")) == content(source)
    (lock,) = (mount / "locks").iterdir()
    assert lock.name in restic(mount, "list", "locks")
    restic(mount, "unlock")
    assert "2 snapshots" in restic(mount, "snapshots")
    assert list((mount / "locks").iterdir()) == [lock]


WRITING = [
    ("forget", "latest"),
    ("forget", "--keep-last", "1", "--prune"),
    ("prune", "--max-unused", "0"),
    ("tag", "--add", "new", "latest"),
    ("rebuild-index", "--read-all-packs"),
    ("backup", str(Path(__file__).parent)),
]
# A pack may want a directory that is not there. restic keeps to itself that it could not make it.
REFUSAL = re.compile(r": read-only file system|/data/[^:]*: no such file or directory")


def assert_refused(restic: Restic, mount: Path, arguments: tuple[str, ...], output: Path) -> None:
    def refused() -> bool:
        return REFUSAL.search(output.read_text()) is not None

    with restic.started(mount, *arguments, output=output) as process:
        wait_until(lambda: process.poll() is not None or refused(), str(arguments))
    assert refused() and process.returncode != 0, f"{arguments}: {output.read_text()}"


@pytest.mark.parametrize("writer", ["restic-current"], indirect=True)
def test_writing_commands_fail_and_change_nothing(
    serve: Serve, repository: Path, restic: Restic, tmp_path: Path
) -> None:
    """restic retries for up to a quarter of an hour, so it is interrupted after its first error."""
    before = content(repository)
    mount = serve(directory=repository).path
    for number, arguments in enumerate(WRITING):
        assert_refused(restic, mount, arguments, tmp_path / f"output{number}")
        assert list((mount / "locks").iterdir()) == [], arguments
    assert content(repository) == before
    assert content(mount).items() == {key: data for key, data in before.items() if "locks" not in key}.items()
