"""Restore of a repository through the mount beside restic straight on the live bucket, same server, same run."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.options import Options
from rwm import process
from rwm.demo import data, story
from rwm.demo.narrator import Narrator
from rwm.embedded import EmbeddedS3

SIZE = 400 * data.MIB
ROUNDS = 3


def timed(directory: Path, environment: dict[str, str], *command: str) -> float:
    """Seconds that a restore takes; the files are compared with the originals and removed."""
    started = time.perf_counter()
    done = process.run([*command, "restore", "latest", "--target", "restored"], env=environment, cwd=directory)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    same = process.run(["diff", "--recursive", "--brief", "data", f"restored{directory}/data"], cwd=directory)
    assert same.returncode == 0, same.stdout
    shutil.rmtree(directory / "restored")
    return seconds


def main(_options: Options) -> None:
    """Print the medians, the mount's with an empty cache and again with what the first restore left in it."""
    rwm, rwmfs = [sys.executable, "-m", "rwm"], [sys.executable, "-m", "rwmfs", "-c", "admin.conf"]
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, EmbeddedS3() as server:
        directory = Path(name)
        story.write_configurations(directory, server.endpoint, server.credentials)
        environment = story.environment(directory) | story.UNLOCK
        narrator = Narrator(directory, environment)
        narrator.ask("rwm", "-c", "admin.conf", "storage", "create", story.BUCKET, "user1")
        data.make(directory / "data", SIZE)
        narrator.ask("rwm", "restic", "init")
        narrator.ask("rwm", "backup", "--all")
        (directory / "mnt").mkdir()
        direct, cold, warm = [], [], []
        for _ in range(ROUNDS):
            direct.append(timed(directory, environment, *rwm, "restic"))
            mount = ["mount", story.BUCKET, "--at", "latest", "mnt", "--buffer-size", "1G"]
            assert process.run([*rwmfs, *mount], env=environment, cwd=directory).returncode == 0
            cold.append(timed(directory, environment, "restic", "-r", "mnt"))
            warm.append(timed(directory, environment, "restic", "-r", "mnt"))
            assert process.run([*rwmfs, "umount", "mnt"], env=environment, cwd=directory).returncode == 0
    base = statistics.median(direct)
    print(f"restore of {SIZE / data.MIB:.0f} MiB, SeaweedFS on loopback, median of {ROUNDS}:")
    for label, runs in (("restic on the live bucket", direct), ("mount, empty cache", cold), ("mount, again", warm)):
        middle = statistics.median(runs)
        print(f"  {label:28} {middle:6.2f} s   {middle / base:.2f}")
