"""Programs that run to their end: output, signals, exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import CommandMissing, RwmError
from tests.unit.rwm.process.helpers import is_alive, python_command, wait_until


class TestRun:
    def test_both_outputs_larger_than_a_pipe(self) -> None:
        done = process.run(python_command("import sys; sys.stderr.write('e' * 300000); print('o' * 300000)"))
        assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 300001, 300000)

    def test_invalid_utf8_is_replaced(self) -> None:
        assert process.run(["printf", r"a\377b"]).stdout == "a�b"

    def test_stdin_env_cwd(self, tmp_path: Path) -> None:
        done = process.run(["/bin/sh", "-c", "cat; echo $X; pwd"], stdin="in ", env={"X": "val"}, cwd=tmp_path)
        assert done.stdout == f"in val\n{tmp_path}\n"

    def test_stdin_is_empty_by_default(self) -> None:
        assert process.run(["cat"]).stdout == ""

    def test_exit_code_and_signal(self) -> None:
        assert process.run(["/bin/sh", "-c", "exit 3"]).returncode == 3
        assert process.run(["/bin/sh", "-c", "kill -9 $$"]).returncode == -9

    def test_timeout(self) -> None:
        with pytest.raises(RwmError, match=r"sleep did not end within 0\.2 s"):
            process.run(["sleep", "60"], timeout=0.2)

    def test_an_interrupt_kills_the_child(self, tmp_path: Path) -> None:
        """Ctrl-C leaves no child in the background."""
        pid = tmp_path / "pid"
        # The child prints more than a pipe holds, so it goes on when the parent has returned from Popen and reads.
        shell = f"head -c 200000 /dev/zero; echo $$ >{pid}; exec sleep 60"
        code = f"from rwm import process; process.run(['/bin/sh', '-c', '{shell}'])"
        with subprocess.Popen(python_command(code), stderr=subprocess.PIPE) as parent:
            assert wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
            parent.send_signal(signal.SIGINT)
            assert parent.stderr is not None
            assert b"KeyboardInterrupt" in parent.stderr.read()
        assert not is_alive(int(pid.read_text()))

    def test_a_missing_program(self) -> None:
        with pytest.raises(CommandMissing):
            process.run(["no-such-program"])

    def test_a_program_without_permission(self, tmp_path: Path) -> None:
        (tmp_path / "program").touch()
        with pytest.raises(RwmError, match="program could not be started: Permission denied"):
            process.run([str(tmp_path / "program")])


class TestStream:
    def test_lines_are_passed_on_while_the_child_runs(self, tmp_path: Path) -> None:
        os.mkfifo(answer := tmp_path / "answer")

        def on_line(name: str, line: str) -> None:
            if (name, line) == ("stdout", "one"):
                answer.write_text("go on")  # the child waits for it

        done = process.run_shell(f"echo one; cat '{answer}'; echo two >&2; exit 4", on_line=on_line)
        assert (done.returncode, done.stdout, done.stderr) == (4, "one\ngo on", "two\n")

    def test_both_outputs_larger_than_a_pipe(self) -> None:
        lines: list[str] = []
        code = "import sys\nfor i in range(50000): print(i); print(-i, file=sys.stderr)"
        process.stream(python_command(code), on_line=lambda _, line: lines.append(line))
        assert len(lines) == 100000

    def test_without_on_line_the_output_is_copied_to_ours(self, capfd: pytest.CaptureFixture[str]) -> None:
        done = process.run_shell("echo out; echo err >&2")
        assert done == process.Completed(0, "out\n", "err\n")
        assert capfd.readouterr() == ("out\n", "err\n")

    def test_a_silent_background_child_does_not_delay_the_end(self) -> None:
        lines: list[str] = []
        process.run_shell("sleep 600 & echo $!; echo done", on_line=lambda _, line: lines.append(line))
        os.kill(int(lines[0]), signal.SIGKILL)  # it is still there
        assert lines[1] == "done"

    def test_a_printing_background_child_does_not_delay_the_end(self) -> None:
        lines: list[str] = []
        process.run_shell("yes & echo $!", on_line=lambda _, line: lines.append(line))
        with contextlib.suppress(ProcessLookupError):  # it may have met the closed pipe before
            os.kill(next(int(line) for line in lines if line.isdigit()), signal.SIGKILL)

    def test_an_error_in_on_line_ends_the_child(self) -> None:
        pids: list[int] = []

        def on_line(_: str, line: str) -> None:
            pids.append(int(line))
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            process.run_shell("echo $$; exec sleep 60", on_line=on_line)
        assert not is_alive(pids[0])

    @pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
    def test_signals_are_forwarded_to_the_child(self, number: signal.Signals, expected: type[BaseException]) -> None:
        lines: list[str] = []

        def on_line(_: str, line: str) -> None:
            lines.append(line)
            if line == "ready":
                os.kill(os.getpid(), number)

        before = signal.getsignal(number)
        child = python_command(
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


class TestExecProgram:
    CODE = "from rwm import process; print('before'); process.exec_program({argv!r}, {{'X': 'y'}})"

    def test_the_process_is_replaced(self) -> None:
        argv = ["/bin/sh", "-c", "echo $X; exit 7"]
        done = process.run(python_command(self.CODE.format(argv=argv)), env=dict(os.environ))
        assert (done.returncode, done.stdout) == (7, "before\ny\n")

    def test_a_closed_pipe_ends_the_program(self) -> None:
        command = f'{sys.executable} -c "$CODE" | head -n 1'
        done = process.run(
            ["/bin/sh", "-c", command],
            env={**os.environ, "CODE": self.CODE.format(argv=["/usr/bin/yes"])},
            timeout=30,
        )
        assert (done.stdout, done.stderr) == ("before\n", "")

    def test_a_missing_program(self) -> None:
        before = signal.getsignal(signal.SIGPIPE)
        with pytest.raises(CommandMissing):
            process.exec_program(["no-such-program"], {})
        assert signal.getsignal(signal.SIGPIPE) == before == signal.SIG_IGN, "SIGPIPE must stay ignored"
