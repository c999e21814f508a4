"""``rwmfs`` with other timeouts, in seconds: ``short-timeouts READ_TIMEOUT FETCH_TIMEOUT mount ...``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rwmfs import mount
from rwmfs.cli import main as cli
from rwmfs.mount import MountRequest


def main() -> None:
    read_timeout, fetch_timeout = (float(text) for text in sys.argv[1:3])
    serve = mount.serve_mount

    def with_limits(request: MountRequest, ready: Callable[[dict[str, Any]], None]) -> None:
        serve(replace(request, read_timeout=read_timeout, fetch_timeout=fetch_timeout), ready)

    mount.serve_mount = with_limits
    sys.argv[1:3] = []
    cli.main()


if __name__ == "__main__":
    main()
