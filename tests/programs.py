"""rwm and rwmfs as processes, forked from one that has imported them: a fraction of the cost of a start.

Working directory, environment, standard streams, signals and exit codes are those of a program that was just started.
A test of the start itself, such as which modules it imports, runs ``python -m``.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Protocol

from rwm import process

MAIN = {"rwm": "rwm.cli.main", "rwmfs": "rwmfs.cli.main"}
"""Program → module with its ``main``."""

_PRELOAD = ["rwm.backup", "rwm.restore", "rwm.retention", "rwm.s3", "rwm.states", "rwm.storage", "rwmfs.mount"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, *MAIN.values(), *_PRELOAD])


class _Descriptor(Protocol):
    def detach(self) -> int: ...


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> process.Completed:
    """Run a program of :data:`MAIN` to its end and return what was printed; its stdin is empty."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        streams = [DupFd(stream.fileno()) for stream in (stdout, stderr)]
        child = _context.Process(target=_start, args=(list(argv), dict(env), cwd, streams))
        child.start()
        child.join()
        assert child.exitcode is not None
        for stream in (stdout, stderr):
            stream.seek(0)
        out, err = (stream.read().decode(errors="replace") for stream in (stdout, stderr))
        return process.Completed(child.exitcode, out, err)


def _start(argv: list[str], env: dict[str, str], cwd: Path, streams: list[_Descriptor]) -> None:
    """In the forked process: become the program."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for number, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *(stream.detach() for stream in streams)]):
        os.dup2(stream, number, inheritable=True)
        os.close(stream)
    sys.stdin = open(0)  # noqa: SIM115 - for as long as the process lives
    sys.argv = argv
    importlib.import_module(MAIN[argv[0]]).main()
