"""A program of a test: its code is the first argument, and the rest are its own."""

from __future__ import annotations

import sys


def main() -> None:
    """Run it as ``python -c`` does, in a process that has imported rwm."""
    code = sys.argv.pop(1)
    exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})
