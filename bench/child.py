"""Children whose use of the machine is measured, and who do not outlive the measurement."""

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
    """What a child took: seconds on the clock, seconds of CPU (user and system, its own children included)."""

    wall: float
    cpu: float
    output: str


class Failed(RuntimeError):
    """A child ended with another exit code than 0, or by a signal; ``code`` is as in :mod:`subprocess`."""

    def __init__(self, argv: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"{' '.join(argv[:4])} … failed: {said[-2000:]}")
        self.code = code


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run to the end. Its output goes to a file first, so that our reading takes nothing from it.

    Raises Failed, with what it said, when it fails.
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
            raise Failed(argv, process.returncode, errors.read().decode(errors="replace"))
        return Usage(wall, used.ru_utime + used.ru_stime, output.read().decode())


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours."""
    return [sys.executable, "-m", module, *arguments]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has taken, all its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int | str = "self") -> tuple[int, int]:
    """(resident bytes now, their peak) of a process.

    The peak of ``wait4`` would not do: it counts what the parent had when it forked.
    """
    text = Path(f"/proc/{pid}/status").read_text()
    now, peak = (int(re.findall(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)[0]) for name in ("VmRSS", "VmHWM"))
    return now << 10, peak << 10
