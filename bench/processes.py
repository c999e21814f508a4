"""Run child processes and measure their time, CPU and memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child used: seconds of wall time, and of CPU (user and system, with its own children)."""

    wall: float
    cpu: float
    output: str


class CommandFailed(RuntimeError):
    """A child failed; ``code`` is the exit code, or minus the signal number."""

    def __init__(self, argv: Sequence[str], code: int, stderr: str) -> None:
        super().__init__(f"{' '.join(argv[:4])} … failed: {stderr[-2000:]}")
        self.code = code


def run_measured(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run a program to its end. Output goes to a file, so that reading it does not slow the program down.

    Raises CommandFailed with its stderr.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise CommandFailed(argv, process.returncode, errors.read().decode(errors="replace"))
        return Usage(wall, used.ru_utime + used.ru_stime, output.read().decode())


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module with our Python."""
    return [sys.executable, "-m", module, *arguments]


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used: all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int | str = "self") -> tuple[int, int]:
    """(resident bytes now, their peak) of a process, from VmRSS and VmHWM.

    The peak that ``wait4`` reports includes the memory of the parent at the fork.
    """
    text = Path(f"/proc/{pid}/status").read_text()
    now, peak = (int(re.findall(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)[0]) for name in ("VmRSS", "VmHWM"))
    return now << 10, peak << 10
