"""A repository that real restic has made in a real server, its recorded state, and what to do with it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import caches, child
from rwm import process
from rwm.demo.environment import BUCKET, RESTIC_PASSWORD, command_environment, write_configurations
from rwm.demo.sample_files import MIB, make_files
from rwm.embedded import EmbeddedS3
from rwm.s3 import Credentials
from rwm.times import SECOND, iso, parse_iso

PART = 0.05
"""The part of the files that a partial restore is to bring back, about."""


class Task(NamedTuple):
    """What restic is asked to do. ``verify`` raises when it did not, and removes what it has made."""

    arguments: tuple[str, ...]
    verify: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Made:
    """The repository: ``state`` is the id of its recorded state, ``at`` a time that shows the same. All paths are below
    ``directory``; ``size`` is in bytes, of what was backed up.
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
        """The same repository as a directory on the disk."""
        return self.directory / "local"

    @property
    def index_path(self) -> Path:
        """The index that has the state."""
        return self.directory / "index" / "index.sqlite"

    def everything(self) -> Task:
        """Restore the newest snapshot."""
        return self._restoring(self.source)

    def part(self) -> tuple[str, Task]:
        """(what is restored, and which part of all that is; to restore it): a directory of about :data:`PART`."""
        sizes = {str(path.relative_to(self.source)): _size(path) for path in self.source.glob("*/*")}
        name = nearest(sizes, PART)
        wanted = self.source / name
        return f"{name}/ ({sizes[name] / self.size:.1%})", self._restoring(wanted, "--include", str(wanted))

    def _restoring(self, wanted: Path, *only: str) -> Task:
        target = self.directory / "restored"

        def verify() -> None:
            child.run(["diff", "--recursive", str(wanted), f"{target}{wanted}"])
            shutil.rmtree(target)

        return Task(("restore", "latest", "--target", str(target), *only), verify)

    def environment(self, account: str = "user1") -> dict[str, str]:
        """For restic: its password, and keys for the live bucket."""
        keys = self.accounts[account]
        return command_environment(self.directory) | {
            **RESTIC_PASSWORD,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_DEFAULT_REGION": EmbeddedS3.region,
        }


ASKING = {name: Task((name,), lambda: None) for name in ("snapshots", "check")}
"""What reads the repository and brings nothing back; ``restic`` itself says whether it went well."""


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def nearest(sizes: Mapping[str, int], part: float) -> str:
    """The name of what is nearest to that part of all. Raises ValueError when there is nothing."""
    total = sum(sizes.values())
    return min(sizes, key=lambda name: abs(sizes[name] - part * total))


@contextmanager
def made(mib: int) -> Iterator[Made]:
    """A repository of so many MiB in a server of its own, which ends with the context; and a copy on the disk."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, EmbeddedS3() as server:
        directory = Path(name)
        write_configurations(directory, server.endpoint, server.credentials)
        make_files(directory / "data", mib * MIB)

        def rwm(account: str, *arguments: str) -> str:
            command = child.python("rwm", "-c", str(directory / f"{account}.conf"), *arguments)
            return child.run(command, command_environment(directory)).output

        rwm("admin", "storage", "create", BUCKET, "user1")
        rwm("rwm", "restic", "init")
        rwm("rwm", "backup", "--all")
        state = json.loads(rwm("admin", "state", "list", BUCKET, "--json"))[-1]
        at = iso(parse_iso(state["captured_at"]) + SECOND)  # the second that was over when it was captured
        it = Made(directory, _size(directory / "data"), server.endpoint, server.credentials, state["id"], at)
        rwm("admin", "state", "restore", it.state, "--to-dir", str(it.local))
        yield it


def restic(made: Made, repository: str, task: Task, more: Sequence[str] = ()) -> child.Usage:
    """Let restic do the task, with a cache of its own that starts empty. What it did is verified.

    It makes no lock, because rclone's mount of a past time takes none. The kernel has restic itself at hand, and
    nothing else.
    """
    program = process.find_program("restic")
    caches.drop()
    child.run([program, "version"])
    with tempfile.TemporaryDirectory(prefix="rwm-bench-cache-") as cache:
        command = [program, "-r", repository, "--no-lock", *more, *task.arguments]
        used = child.run(command, made.environment() | {"RESTIC_CACHE_DIR": cache})
    task.verify()
    return used
