"""A child whose stdout is a terminal, with its output captured too."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest

from tests.unit.rwm.process.helpers import python_command

ROWS, COLUMNS = 17, 61


class OwnTerminal:
    """A terminal, and what a program printed there."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def run(self, code: str, *, prepare: Callable[[], None] | None = None) -> tuple[bytes, str]:
        """Run Python code with it as stdout: what was shown, and what the code wrote to stderr."""
        with subprocess.Popen(
            python_command("import sys; from rwm import process\n" + code),
            stdout=self.theirs,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
        ) as program:
            os.close(self.theirs)
            shown = b""
            try:
                while data := os.read(self.ours, 1 << 16):
                    shown += data
            except OSError:  # the end
                pass
            assert program.stderr is not None
            said = program.stderr.read()
        return shown, said


@pytest.fixture
def terminal() -> Iterator[OwnTerminal]:
    terminal = OwnTerminal()
    yield terminal
    os.close(terminal.ours)


def stream(shell: str, options: str = "keep_stdout=True") -> str:
    return f"done = process.stream(['/bin/sh', '-c', {shell!r}], {options})\nprint(repr(done), file=sys.stderr)"


def test_the_child_has_a_terminal_of_our_size_and_its_output_is_shown_and_kept(terminal: OwnTerminal) -> None:
    child = "test -t 1 && stty size <&1; printf '10 %%\\r20 %%\\n'; exit 3"
    shown, said = terminal.run("print('before')\n" + stream(child))
    assert shown == f"before\r\n{ROWS} {COLUMNS}\r\n10 %\r20 %\r\n".encode()
    kept = f"{ROWS} {COLUMNS}\n10 %\r20 %\n"
    assert said == f"Completed(returncode=3, stdout={kept!r}, stderr='')\n"


def test_progress_is_shown_at_once(terminal: OwnTerminal) -> None:
    """The child waits until its incomplete line was shown."""
    read, write = os.pipe()
    child = f"printf half; read line </proc/{os.getpid()}/fd/{read}; echo $line"
    with subprocess.Popen(
        python_command("import sys; from rwm import process\n" + stream(child)),
        stdout=terminal.theirs,
        stderr=subprocess.DEVNULL,
    ) as program:
        assert os.read(terminal.ours, 100) == b"half"
        os.write(write, b"whole\n")
        assert program.wait() == 0
    for descriptor in (read, write, terminal.theirs):
        os.close(descriptor)


def test_without_keeping_the_child_has_our_terminal(terminal: OwnTerminal) -> None:
    shown, said = terminal.run(stream("test -t 1 && echo direct", "keep_stdout=False"))
    assert shown == b"direct\r\n"
    assert "stdout=''" in said


def test_in_the_background_of_its_terminal_it_has_none(terminal: OwnTerminal) -> None:
    """A display of progress would disturb who works in the foreground."""

    def become_background() -> None:
        os.setsid()
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)
        if os.fork():
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        os.setpgid(0, 0)

    shown, said = terminal.run(stream("test -t 1 || echo a pipe"), prepare=become_background)
    assert shown == b"a pipe\r\n"
    assert "stdout='a pipe\\n'" in said


def test_a_program_that_cannot_be_started_leaves_no_descriptor(terminal: OwnTerminal) -> None:
    code = """
import os
before = len(os.listdir('/proc/self/fd'))
try:
    process.stream(['no-such-program'], keep_stdout=True)
except Exception as error:
    print(type(error).__name__, len(os.listdir('/proc/self/fd')) - before, file=sys.stderr)
"""
    assert terminal.run(code) == (b"", "CommandMissing 0\n")
