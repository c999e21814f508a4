"""``make bench``: run all measurements, or those named: ``make bench ARGS="listing restore"``."""

from __future__ import annotations

import importlib
import signal
import sys
import time
from collections.abc import Sequence

from bench.options import parse_arguments
from rwm.errors import RwmError

PARTS = (
    "listing",
    "parallel",
    "capture",
    "memory",
    "index",
    "sync",
    "browsing",
    "verify",
    "audit",
    "prune",
    "recover",
    "restore",
    "state_restore",
    "rollback",
)
"""Modules of this package with ``main(options)``, in the order in which they run."""

ON_REQUEST = ("soak",)
"""Those that run only if named."""


def main(arguments: Sequence[str]) -> int:
    """Run the parts. SIGTERM raises SystemExit, so that their children are stopped."""
    names, options = parse_arguments(arguments, PARTS, ON_REQUEST)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    for name in names:
        started = time.monotonic()
        importlib.import_module(f"bench.{name}").main(options)
        print(f"{name}: done in {time.monotonic() - started:.0f} s", end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RwmError as error:
        sys.exit(f"bench: {error.message}" + (f"\n  {error.hint}" if error.hint else ""))
    except KeyboardInterrupt:
        sys.exit(130)
