"""The demo, as `make demo` runs it, on the embedded SeaweedFS and on a real Ceph RGW."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from rwm import process
from rwm.demo import run_demo, steps
from rwm.demo.environment import command_environment, write_configurations
from rwm.demo.narrator import Narrator
from rwm.demo.sample_files import MIB
from rwm.errors import RwmError
from tests.servers import Server

TOLD = ("refused", "byte for byte", "$ rwm -c admin.conf recover bucket1 mnt", "Nothing was lost")


def test_without_keep_it_ends_with_the_last_step_and_removes_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    began = []
    monkeypatch.setattr("rwm.demo.run.run_steps", lambda *_: began.append([*tmp_path.glob("rwm-demo-*/admin.conf")]))
    run_demo()
    assert [len(found) for found in began] == [1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_steps_run_on_a_real_ceph_gateway(rgw: Server, tmp_path: Path) -> None:
    bucket = f"demo-{os.getpid()}"
    write_configurations(tmp_path, rgw.endpoint, rgw.accounts, bucket)
    shown = io.StringIO()
    narrator = Narrator(tmp_path, command_environment(tmp_path), Console(file=shown, width=200))
    steps.run_steps(narrator, tmp_path, bucket, rgw.connect, 10 * MIB)
    assert "byte for byte" in shown.getvalue()


def test_a_failed_step_stops_the_demo(tmp_path: Path) -> None:
    narrator = Narrator(tmp_path, os.environ, Console(file=io.StringIO()))
    with pytest.raises(RwmError, match="failed with exit code 1"):
        narrator.run("false")
    with pytest.raises(RwmError, match="succeeded, but should have failed"):
        narrator.run("true", fails=True)
    with pytest.raises(RwmError, match=r"failed: .*nowhere"):
        narrator.run_silently("ls", "/nowhere")


def test_keep_runs_the_demo_and_leaves_the_server_until_interrupted(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    (tmp_path / "tmp").mkdir()
    with process.spawn(
        [sys.executable, "-u", "-m", "rwm", "demo", "--keep", "--size", "10"],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        log_path=log,
    ) as demo:
        while "Ctrl-C here ends the demo" not in log.read_text():
            assert demo.running(), log.read_text()
            time.sleep(0.1)
        for expected in TOLD:
            assert expected in log.read_text()
        assert "\x1b" not in log.read_text(), "no colours outside of a terminal"
        (directory,) = (tmp_path / "tmp").iterdir()
        environment = {**os.environ, "RESTIC_PASSWORD": "correct-horse-battery-staple"}
        for command in (
            [sys.executable, "-m", "rwmfs", "-c", "admin.conf", "mount", "bucket1", "--at", "latest", "mnt"],
            ["restic", "-r", "mnt", "snapshots"],
        ):
            done = process.run(command, env=environment, cwd=directory)
            assert done.returncode == 0, done.stdout + done.stderr
        os.kill(demo.pid, signal.SIGINT)
        while demo.running():
            time.sleep(0.1)
    assert list((tmp_path / "tmp").iterdir()) == []
