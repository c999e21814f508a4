"""Children: output, signals, ends. Real programs, no fakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import CommandMissing, RwmError
from rwm.process.output import MAX_LINE, TAIL_LENGTH, LineSplitter


def alive(pid: int) -> bool:
    """Whether a process of that number is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for the condition; False when it did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class TestFind:
    def test_absolute(self) -> None:
        assert process.find_program("sh") in {"/bin/sh", "/usr/bin/sh"}

    def test_missing_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(CommandMissing) as caught:
            process.find_program("restic")
        assert "restic" in caught.value.message
        assert "apt-get install restic" in caught.value.hint


class TestRun:
    def test_both_outputs_larger_than_a_pipe(self) -> None:
        done = process.run(python("import sys; sys.stderr.write('e' * 300000); print('o' * 300000)"))
        assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 300001, 300000)

    def test_no_valid_text(self) -> None:
        assert process.run(["printf", r"a\377b"]).stdout == "a�b"

    def test_stdin_env_cwd(self, tmp_path: Path) -> None:
        done = process.run(["/bin/sh", "-c", "cat; echo $X; pwd"], stdin="in ", env={"X": "val"}, cwd=tmp_path)
        assert done.stdout == f"in val\n{tmp_path}\n"

    def test_without_stdin_there_is_nothing_to_read(self) -> None:
        assert process.run(["cat"]).stdout == ""

    def test_exit_code_and_signal(self) -> None:
        assert process.run(["/bin/sh", "-c", "exit 3"]).returncode == 3
        assert process.run(["/bin/sh", "-c", "kill -9 $$"]).returncode == -9

    def test_too_long(self) -> None:
        with pytest.raises(RwmError, match=r"sleep did not end within 0\.2 s"):
            process.run(["sleep", "60"], timeout=0.2)

    def test_interrupted(self, tmp_path: Path) -> None:
        """Nothing goes on in the background after Ctrl-C."""
        pid = tmp_path / "pid"
        # The child waits before it tells, so that the parent is past starting it.
        shell = f"sleep 0.5; echo $$ >{pid}; exec sleep 60"
        code = f"from rwm import process; process.run(['/bin/sh', '-c', '{shell}'])"
        with subprocess.Popen(python(code), stderr=subprocess.PIPE) as parent:
            assert until(lambda: pid.exists() and pid.read_text().endswith("\n"))
            parent.send_signal(signal.SIGINT)
            assert parent.stderr is not None
            assert b"KeyboardInterrupt" in parent.stderr.read()
        assert not alive(int(pid.read_text()))

    def test_missing(self) -> None:
        with pytest.raises(CommandMissing):
            process.run(["no-such-program"])

    def test_not_executable(self, tmp_path: Path) -> None:
        (tmp_path / "program").touch()
        with pytest.raises(RwmError, match="program could not be started: Permission denied"):
            process.run([str(tmp_path / "program")])


class TestLineSplitter:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_any_cut(self, size: int) -> None:
        data = "a\nžluť\r\n\n 10 %\r 20 %\r\nend".encode()
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        for start in range(0, len(data), size):
            lines.feed(data[start : start + size])
        lines.feed(b"", final=True)
        assert got == ["a", "žluť", "", " 10 %", " 20 %", "end"]
        assert lines.text() == data.decode()

    def test_a_progress_line_is_shown_at_once(self) -> None:
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        lines.feed(b"10 %\r")
        assert got == ["10 %"]

    def test_memory_is_bounded(self) -> None:
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        for _ in range(50):
            lines.feed(b"x" * (MAX_LINE + 1))
        assert len(got) == 50
        assert lines.text() == "x" * TAIL_LENGTH


class TestStream:
    def test_lines_come_while_it_runs(self) -> None:
        times: dict[str, float] = {}
        done = process.run_shell(
            "echo one; sleep 0.5; echo two >&2; exit 4",
            on_line=lambda name, line: times.setdefault(f"{name} {line}", time.monotonic()),
        )
        assert (done.returncode, done.stdout, done.stderr) == (4, "one\n", "two\n")
        assert times["stderr two"] - times["stdout one"] > 0.3

    def test_both_outputs_larger_than_a_pipe(self) -> None:
        lines: list[str] = []
        code = "import sys\nfor i in range(50000): print(i); print(-i, file=sys.stderr)"
        process.stream(python(code), on_line=lambda _, line: lines.append(line))
        assert len(lines) == 100000

    def test_without_on_line_the_files_are_ours(self, capfd: pytest.CaptureFixture[str]) -> None:
        done = process.run_shell("echo out; echo err >&2")
        assert done == process.Completed(0, "", "")
        assert capfd.readouterr() == ("out\n", "err\n")

    def test_what_is_left_behind_does_not_hold_us(self) -> None:
        lines: list[str] = []
        started = time.monotonic()
        process.run_shell("sleep 30 & echo $!; echo done", on_line=lambda _, line: lines.append(line))
        os.kill(int(lines[0]), signal.SIGKILL)
        assert lines[1] == "done"
        assert time.monotonic() - started < 10

    def test_what_is_left_behind_and_talks_does_not_hold_us(self) -> None:
        lines: list[str] = []
        process.run_shell("yes & echo $!", on_line=lambda _, line: lines.append(line))
        os.kill(next(int(line) for line in lines if line.isdigit()), signal.SIGKILL)

    def test_a_failing_on_line_ends_the_child(self) -> None:
        pids: list[int] = []

        def on_line(_: str, line: str) -> None:
            pids.append(int(line))
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            process.run_shell("echo $$; exec sleep 60", on_line=on_line)
        assert not alive(pids[0])

    @pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
    def test_signals_reach_the_child_which_may_tidy_up(
        self, number: signal.Signals, expected: type[BaseException]
    ) -> None:
        lines: list[str] = []

        def on_line(_: str, line: str) -> None:
            lines.append(line)
            if line == "ready":
                os.kill(os.getpid(), number)

        before = signal.getsignal(number)
        child = python(
            "import signal, sys, time\n"
            f"signal.signal({int(number)}, lambda *_: (print('tidy'), sys.exit(0)))\n"
            "print('ready', flush=True); time.sleep(60)"
        )
        with pytest.raises(expected):
            process.stream(child, on_line=on_line)
        assert lines == ["ready", "tidy"]
        assert signal.getsignal(number) == before

    def test_from_another_thread(self) -> None:
        lines: list[str] = []
        thread = threading.Thread(
            target=process.run_shell, args=("echo hi",), kwargs={"on_line": lambda _, line: lines.append(line)}
        )
        thread.start()
        thread.join()
        assert lines == ["hi"]


class TestReplace:
    CODE = "from rwm import process; print('before'); process.exec_program({argv!r}, {{'X': 'y'}})"

    def test_becomes_the_program(self) -> None:
        argv = ["/bin/sh", "-c", "echo $X; exit 7"]
        done = process.run(python(self.CODE.format(argv=argv)), env=dict(os.environ))
        assert (done.returncode, done.stdout) == (7, "before\ny\n")

    def test_a_closed_pipe_ends_it(self) -> None:
        command = f'{sys.executable} -c "$CODE" | head -n 1'
        done = process.run(
            ["/bin/sh", "-c", command],
            env={**os.environ, "CODE": self.CODE.format(argv=["/usr/bin/yes"])},
            timeout=30,
        )
        assert (done.stdout, done.stderr) == ("before\n", "")

    def test_missing(self) -> None:
        before = signal.getsignal(signal.SIGPIPE)
        with pytest.raises(CommandMissing):
            process.exec_program(["no-such-program"], {})
        assert signal.getsignal(signal.SIGPIPE) == before == signal.SIG_IGN, "or the next closed socket ends us"


class TestDaemon:
    def test_log_stop_and_modes(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with process.spawn(["/bin/sh", "-c", "echo hello; exec sleep 60"], log_path=log) as daemon:
            assert until(lambda: "hello" in daemon.log_tail())
            assert daemon.running()
            assert log.stat().st_mode & 0o777 == 0o600
        assert not alive(daemon.pid)
        assert not daemon.running()
        assert daemon.stop() == 128 + signal.SIGTERM

    def test_stubborn(self, tmp_path: Path) -> None:
        daemon = process.spawn(
            ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            log_path=tmp_path / "log",
        )
        assert until(lambda: daemon.log_tail() == "ready")
        assert daemon.stop(timeout=0.2) == 128 + signal.SIGKILL
        assert not alive(daemon.pid)

    def test_kill(self, tmp_path: Path) -> None:
        daemon = process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        assert daemon.kill() == 128 + signal.SIGKILL
        assert not alive(daemon.pid)

    def test_ends_by_itself(self, tmp_path: Path) -> None:
        daemon = process.spawn(["/bin/sh", "-c", "exit 5"], log_path=tmp_path / "log")
        assert until(lambda: not daemon.running())
        assert daemon.stop() == 5

    def test_its_own_children_end_with_it(self, tmp_path: Path) -> None:
        daemon = process.spawn(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], log_path=tmp_path / "log")
        assert until(lambda: daemon.log_tail() != "")
        grandchild = int(daemon.log_tail())
        daemon.kill()
        assert until(lambda: not alive(grandchild))

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CommandMissing):
            process.spawn(["no-such-program"], log_path=tmp_path / "log")

    def test_cannot_be_executed(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken"
        broken.write_bytes(b"\x7fELF nonsense")
        broken.chmod(0o755)
        with process.spawn([str(broken)], log_path=tmp_path / "log") as daemon:
            assert until(lambda: not daemon.running())
            assert "Exec format error" in daemon.log_tail()

    def test_no_watchdog_no_child(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho out of memory >&2\n")
        broken.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(broken))
        with pytest.raises(RwmError, match="sleep could not be started: out of memory"):
            process.spawn(["sleep", "60"], log_path=tmp_path / "log")

    def test_gone_before_we_looked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(_: int) -> int:
            raise ProcessLookupError

        monkeypatch.setattr(os, "pidfd_open", gone)
        daemon = process.spawn(["true"], log_path=tmp_path / "log")
        assert not daemon.running()
        assert until(lambda: not alive(daemon.pid))
        assert daemon.stop() == 0

    def test_a_log_that_is_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RwmError, match="sleep cannot log to"):
            process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_ends_with_its_parent(self, tmp_path: Path, number: signal.Signals) -> None:
        code = (
            "import sys, time; from pathlib import Path; from rwm import process\n"
            f"daemon = process.spawn(['sleep', '60'], log_path=Path({str(tmp_path / 'log')!r}))\n"
            "print(daemon.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(python(code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert alive(pid)
            parent.send_signal(number)
        assert until(lambda: not alive(pid))

    def test_ends_when_its_watchdog_is_killed(self, tmp_path: Path) -> None:
        daemon = process.spawn(["sleep", "60"], log_path=tmp_path / "log")
        watchdog = int(Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watchdog, signal.SIGKILL)
        assert until(lambda: not alive(daemon.pid))
        daemon.stop()
