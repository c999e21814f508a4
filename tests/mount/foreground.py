"""``rwmfs mount --foreground`` as a child process, so that tests see how it ends and what it leaves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from rwmfs.mount.mountpoint import mounted_at
from tests import programs
from tests.mount.conftest import SECONDS, wait_until
from tests.mount.test_command import Place

USUAL = ("rwmfs",)
SHORT_TIMEOUTS = ("short-timeouts", "0.5", "60")
"""Waits for half a second only while a server is silent."""


class Started:
    """A mount of the latest state of a place's bucket, or of all, at ``path``; its log is in ``log``."""

    def __init__(
        self, place: Place, *words: str, at: str | None = "latest", name: str = "mnt", program: Sequence[str] = USUAL
    ) -> None:
        directory = place.shell.directory
        self.path = directory / name
        self.path.mkdir(exist_ok=True)
        self.log = directory / f"{name}.log"
        what = ["mount", "-f", place.bucket, name, *(["--at", at] if at else []), *words]
        with self.log.open("wb") as log:
            self.process = programs.Program(
                [*program, "-v", *what],
                cwd=directory,
                env=place.shell.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it can be used."""
        wait_until(lambda: self.process.poll() is not None or f" at {self.path}\n" in self.said(), "the mount")
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """Its log and output so far."""
        return self.log.read_text()

    def ended(self) -> int:
        """Its exit code, after its process and its mount have ended."""
        code = self.process.wait(SECONDS)
        assert mounted_at(self.path) is None
        return code


@contextlib.contextmanager
def started(
    place: Place, *words: str, at: str | None = "latest", name: str = "mnt", program: Sequence[str] = USUAL
) -> Iterator[Started]:
    """A usable mount for the block; at the end it and its process are removed."""
    mount = Started(place, *words, at=at, name=name, program=program)
    try:
        mount.wait()
        yield mount
    finally:
        mount.process.kill()
        mount.process.wait(SECONDS)
        while mounted_at(mount.path) is not None:
            subprocess.run(["fusermount3", "-uz", mount.path], check=True)


def is_free(lock: Path) -> bool:
    """Whether the lock is free."""
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
