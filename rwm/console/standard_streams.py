"""Standard streams of a process that may have been started without them."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def open_standard_streams() -> None:
    """Open ``/dev/null`` in place of a closed stdin, stdout or stderr.

    Otherwise the next opened file would get the number 0, 1 or 2 and receive the output of children; and
    ``sys.stderr`` would be None, which ``print`` takes for stdout.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # open() returns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - stays open until the process ends
