"""Run the demo: a temporary directory and an embedded S3 server around the steps, removed at the end."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rwm import process
from rwm.demo.environment import BUCKET, PASSWORD, command_environment, write_configurations
from rwm.demo.narrator import Narrator
from rwm.demo.sample_files import MIB
from rwm.demo.steps import run_steps
from rwm.embedded import EmbeddedS3


def run_demo(*, keep: bool = False, size: int = 240 * MIB) -> None:
    """Run the demo with ``size`` bytes of data; ``keep`` leaves server and files in place until Ctrl-C.

    Raises CommandMissing, or RwmError if a step does not end as expected.
    """
    for program in ("restic", "aws", "fusermount3"):
        process.find_program(program)
    directory = Path(tempfile.mkdtemp(prefix="rwm-demo-"))
    with _sigterm_as_interrupt(), contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = stack.enter_context(EmbeddedS3(directory / "s3"))
        write_configurations(directory, server.endpoint, server.credentials)
        narrator = Narrator(directory, command_environment(directory))
        stack.callback(_unmount, directory)
        narrator.title("RWM demo: a restic repository in S3 survives an attacker who holds all keys of the machine")
        narrator.say(f"SeaweedFS serves S3 on {server.endpoint}; all files are in {directory}")
        run_steps(narrator, directory, BUCKET, server.connect, size)
        if keep:
            _wait_for_interrupt(narrator, directory)


def _unmount(directory: Path) -> None:
    """Unmount if the demo was interrupted while the mount was up."""
    if (directory / "mnt").is_mount():
        process.run([process.find_program("fusermount3"), "-u", "-z", str(directory / "mnt")])


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM too, so that it cleans up."""

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_interrupt(narrator: Narrator, directory: Path) -> None:
    narrator.title("\nServer and files stay in place. Commands to try in another terminal:")
    narrator.say(f"cd {directory}")
    for command in (
        "rwm restic snapshots                    # what the machine sees: destroyed",
        f"rwm -c admin.conf state list {BUCKET}    # the recorded states",
        f"rwmfs -c admin.conf mount {BUCKET} --at latest mnt",
        f"RESTIC_PASSWORD={PASSWORD} restic -r mnt --no-cache snapshots",
        f"rwm -c admin.conf prune {BUCKET} --keep-last 1 --dry-run",
    ):
        narrator.say(command)
    narrator.title("\nCtrl-C here ends the demo and removes the directory.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()
