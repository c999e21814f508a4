"""Supervised programs: they end with their parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import CommandMissing, RwmError
from tests.unit.rwm.process.helpers import is_alive, python_command, wait_until


class TestDaemon:
    def test_log_and_stop(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with process.spawn(["/bin/sh", "-c", "echo hello; exec sleep 60"], log_path=log) as daemon:
            assert wait_until(lambda: "hello" in daemon.log_tail())
            assert daemon.running()
            assert log.stat().st_mode & 0o777 == 0o600
        assert not is_alive(daemon.pid)
        assert not daemon.running()
        assert daemon.stop() == 128 + signal.SIGTERM

    def test_a_child_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        daemon = process.spawn(
            ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            log_path=tmp_path / "log",
        )
        assert wait_until(lambda: daemon.log_tail() == "ready")
        assert daemon.stop(timeout=0.2) == 128 + signal.SIGKILL
        assert not is_alive(daemon.pid)

    def test_kill(self, tmp_path: Path) -> None:
        daemon = process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        assert daemon.kill() == 128 + signal.SIGKILL
        assert not is_alive(daemon.pid)

    def test_exit_code_of_a_child_that_ends_itself(self, tmp_path: Path) -> None:
        daemon = process.spawn(["/bin/sh", "-c", "exit 5"], log_path=tmp_path / "log")
        assert wait_until(lambda: not daemon.running())
        assert daemon.stop() == 5

    def test_grandchildren_are_killed(self, tmp_path: Path) -> None:
        daemon = process.spawn(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], log_path=tmp_path / "log")
        assert wait_until(lambda: daemon.log_tail() != "")
        grandchild = int(daemon.log_tail())
        daemon.kill()
        assert wait_until(lambda: not is_alive(grandchild))

    def test_a_missing_program(self, tmp_path: Path) -> None:
        with pytest.raises(CommandMissing):
            process.spawn(["no-such-program"], log_path=tmp_path / "log")

    def test_an_invalid_executable(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken"
        broken.write_bytes(b"\x7fELF nonsense")
        broken.chmod(0o755)
        with process.spawn([str(broken)], log_path=tmp_path / "log") as daemon:
            assert wait_until(lambda: not daemon.running())
            assert "Exec format error" in daemon.log_tail()

    def test_a_watchdog_that_cannot_be_started(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho out of memory >&2\n")
        broken.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(broken))
        with pytest.raises(RwmError, match="sleep could not be started: out of memory"):
            process.spawn(["sleep", "60"], log_path=tmp_path / "log")

    def test_a_child_that_ends_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(_: int) -> int:
            raise ProcessLookupError

        monkeypatch.setattr(os, "pidfd_open", gone)
        daemon = process.spawn(["true"], log_path=tmp_path / "log")
        assert not daemon.running()
        assert wait_until(lambda: not is_alive(daemon.pid))
        assert daemon.stop() == 0

    def test_a_symbolic_link_as_log_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RwmError, match="sleep cannot log to"):
            process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_the_child_ends_with_its_parent(self, tmp_path: Path, number: signal.Signals) -> None:
        code = (
            "import sys, time; from pathlib import Path; from rwm import process\n"
            f"daemon = process.spawn(['sleep', '60'], log_path=Path({str(tmp_path / 'log')!r}))\n"
            "print(daemon.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            python_command(code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert is_alive(pid)
            parent.send_signal(number)
        assert wait_until(lambda: not is_alive(pid))

    def test_the_child_ends_with_its_watchdog(self, tmp_path: Path) -> None:
        daemon = process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        watchdog = int(Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watchdog, signal.SIGKILL)
        assert wait_until(lambda: not is_alive(daemon.pid))
        daemon.stop()
