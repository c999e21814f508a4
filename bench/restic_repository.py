"""A repository that restic has made on an embedded server, its recorded state, and restic tasks on it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import kernel_caches, processes
from rwm import process
from rwm.config import Credentials
from rwm.demo.environment import BUCKET, RESTIC_PASSWORD, command_environment, write_configurations
from rwm.demo.sample_files import MIB, make_files
from rwm.embedded import EmbeddedS3
from rwm.times import SECOND, iso, parse_iso

PART = 0.05
"""The approximate part of all bytes that a partial restore restores."""


class Task(NamedTuple):
    """A restic command. ``verify`` raises CommandFailed if its result is wrong, and removes the result."""

    arguments: tuple[str, ...]
    verify: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository, with all paths below ``directory``.

    ``state`` is the id of its recorded state, ``at`` a time that selects the same state; ``size`` is the number of
    bytes backed up.
    """

    directory: Path
    size: int
    endpoint: str
    accounts: Mapping[str, Credentials]
    state: str
    at: str

    @property
    def source(self) -> Path:
        """The files that were backed up."""
        return self.directory / "data"

    @property
    def local(self) -> Path:
        """A local copy of the repository."""
        return self.directory / "local"

    @property
    def index_path(self) -> Path:
        """The index with the state."""
        return self.directory / "index" / "index.sqlite"

    def full_restore(self) -> Task:
        """Restore the newest snapshot."""
        return self._restore(self.source)

    def partial_restore(self) -> tuple[str, Task]:
        """(description, task) to restore one directory of about :data:`PART` of all bytes."""
        sizes = {str(path.relative_to(self.source)): _directory_size(path) for path in self.source.glob("*/*")}
        name = nearest_part(sizes, PART)
        path = self.source / name
        return f"{name}/ ({sizes[name] / self.size:.1%})", self._restore(path, "--include", str(path))

    def _restore(self, path: Path, *options: str) -> Task:
        target = self.directory / "restored"

        def verify() -> None:
            processes.run_measured(["diff", "--recursive", str(path), f"{target}{path}"])
            shutil.rmtree(target)

        return Task(("restore", "latest", "--target", str(target), *options), verify)

    def environment(self, account: str = "user1") -> dict[str, str]:
        """The environment for restic: its password, and keys for the live bucket."""
        keys = self.accounts[account]
        return command_environment(self.directory) | {
            **RESTIC_PASSWORD,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_DEFAULT_REGION": EmbeddedS3.region,
        }


READ_TASKS = {name: Task((name,), lambda: None) for name in ("snapshots", "check")}
"""Tasks that restore nothing; restic itself reports failure."""


def _directory_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def nearest_part(sizes: Mapping[str, int], part: float) -> str:
    """The name whose size is nearest to ``part`` of the total. Raises ValueError if ``sizes`` is empty."""
    total = sum(sizes.values())
    return min(sizes, key=lambda name: abs(sizes[name] - part * total))


@contextmanager
def make_repository(mib: int) -> Iterator[Repository]:
    """Make a repository of ``mib`` MiB of files on its own server, and a local copy of it."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, EmbeddedS3() as server:
        directory = Path(name)
        write_configurations(directory, server.endpoint, server.credentials)
        make_files(directory / "data", mib * MIB)

        def rwm(config: str, *arguments: str) -> str:
            command = processes.python_command("rwm", "-c", str(directory / f"{config}.conf"), *arguments)
            return processes.run_measured(command, command_environment(directory)).output

        rwm("admin", "storage", "create", BUCKET, "user1")
        rwm("rwm", "restic", "init")
        rwm("rwm", "backup", "--all")
        state = json.loads(rwm("admin", "state", "list", BUCKET, "--json"))[-1]
        at = iso(parse_iso(state["captured_at"]) + SECOND)  # a state is of the end of its second
        size = _directory_size(directory / "data")
        repository = Repository(directory, size, server.endpoint, server.credentials, state["id"], at)
        rwm("admin", "state", "restore", repository.state, "--to-dir", str(repository.local))
        yield repository


def run_restic(repository: Repository, location: str, task: Task, options: Sequence[str] = ()) -> processes.Usage:
    """Run the task with restic on the repository at ``location``, with an empty cache of restic, and verify it.

    ``--no-lock``, because rclone's mount of a past time is read-only. The kernel caches are empty except for the
    restic program itself.
    """
    program = process.find_program("restic")
    kernel_caches.drop()
    processes.run_measured([program, "version"])
    with tempfile.TemporaryDirectory(prefix="rwm-bench-cache-") as cache:
        command = [program, "-r", location, "--no-lock", *options, *task.arguments]
        used = processes.run_measured(command, repository.environment() | {"RESTIC_CACHE_DIR": cache})
    task.verify()
    return used
