"""A real mount of a state in memory, or of a directory served as a state: ``python -m tests.mount.serve``.

Arguments: MOUNTPOINT LOGFILE, then ``--directory DIR`` or ``--files FILE`` (JSON, key → text), ``--foreground``,
``--fail KEY`` (reading it fails), ``--hang KEY`` (reading it does not end), ``--allow-other``, ``--uid``, ``--gid``,
``--umask``, ``--label``, and what happens before it is ready: ``--crash``, ``--wait`` (for long), ``--vanish`` (the
mountpoint is gone), ``--ask`` (it is sent SIGUSR1).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rwm.console.error_boundary import print_error
from rwm.errors import RwmError, S3Error
from rwmfs.access import Access
from rwmfs.mount import daemon, logs, mountpoint, start
from rwmfs.mount.readable import check_readable
from rwmfs.tree.contents import SingleState
from tests.unit.fakes import fake_state, state_of_directory


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("mountpoint", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--fail")
    parser.add_argument("--hang")
    parser.add_argument("--label")
    parser.add_argument("--dentry-limit", type=int, default=100_000)
    parser.add_argument("--count", type=Path)
    for number in ("--uid", "--gid", "--umask"):
        parser.add_argument(number, type=lambda text: int(text, 0))
    for flag in ("--allow-other", "--crash", "--wait", "--vanish", "--ask"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def serve(options: argparse.Namespace, place: Path, ready: Callable[[dict[str, Any]], None]) -> None:
    from rwmfs.mount import session

    def fault(key: str, start: int, stop: int) -> None:
        if key == options.fail:
            raise S3Error("no such luck")
        if key == options.hang:
            time.sleep(3600)

    logs.configure(options.log, stderr=options.foreground, verbose=False)
    if options.crash:
        os.kill(os.getpid(), signal.SIGKILL)
    if options.wait:
        time.sleep(3600)
    if options.ask:
        os.kill(os.getpid(), signal.SIGUSR1)
    if options.vanish:
        place.rmdir()
    if options.directory:
        state, bucket = state_of_directory(options.directory)
    else:
        state, bucket = fake_state({key: text.encode() for key, text in json.loads(options.files.read_text()).items()})
    bucket.fault = fault
    if options.hang is None:
        check_readable(state, bucket)
    access = Access.own(options.uid, options.gid, options.umask or 0)
    shown = SingleState(state, lambda info: "own")
    mount = session.Mount(
        shown,
        bucket,
        place,
        256 << 20,
        access=access,
        allow_other=options.allow_other,
        label=options.label,
        dentry_limit=options.dentry_limit,
    )
    session.serve(mount, lambda: ready({}))


def count_getattr(path: Path) -> None:
    """Write a byte for each getattr request of the kernel."""
    from rwmfs.fuse.operations import Operations

    answer, file = Operations.getattr, path.open("wb", buffering=0)

    async def counted(self: Operations, inode: int, ctx: Any) -> Any:
        file.write(b".")
        return await answer(self, inode, ctx)

    Operations.getattr = counted  # type: ignore[method-assign]


def main() -> int:
    options = arguments()
    if options.count:
        count_getattr(options.count)
    try:
        place = mountpoint.prepare_mountpoint(options.mountpoint)
        start.ignore_counters_signal()
        if options.foreground:
            serve(options, place, lambda report: print("ready", flush=True))
        else:
            print(daemon.run_in_background(lambda ready: serve(options, place, ready))["pid"])
    except RwmError as error:
        print_error("serve", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
