"""The life of a mount: from the kernel's consent to a clean end, in one trio run.

The session's nursery holds the FUSE workers, the fetches and the wait for signals. It ends when somebody unmounts, or
on SIGTERM, SIGINT and SIGHUP: then everything is cancelled, requests under way are answered by the kernel, and the
mountpoint is freed, lazily if it is in use. Threads that still wait for S3 are left to themselves and end with the
process.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pyfuse3
import trio

from rwm.errors import MountError
from rwm.model import ObjectReader
from rwmfs.cache import MemoryCache
from rwmfs.mountpoint import enlarge_requests
from rwmfs.operations import Operations
from rwmfs.reader import BlockReader
from rwmfs.scratch import Scratch
from rwmfs.shown import Shown
from rwmfs.tree import InodeTree

log = logging.getLogger(__name__)

TASKS = 256
"""Requests of the kernel that are worked on at once. Reads that wait for S3 must not keep the others out."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Mount:
    """What to mount where. ``mountpoint`` is prepared; ``cache_size`` is in bytes."""

    shown: Shown
    source: ObjectReader
    mountpoint: Path
    cache_size: int
    allow_other: bool = False

    @property
    def name(self) -> str:
        """How the mount is called in lists of mounts."""
        name = f"rwmfs:{self.shown.label}"
        return "".join(c if c.isascii() and c.isprintable() and c not in ", \\" else "_" for c in name)


def serve(mount: Mount, ready: Callable[[], None]) -> None:
    """Mount, call ``ready`` once it can be used, and serve until it is unmounted or told to end.

    Raises MountError when the mount cannot be made. The process is expected to end afterwards: it stays deaf to the
    signals that end a mount, so that one too many does not make a failure of a clean end.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        trio.run(_serve, mount, ready)
    except BaseExceptionGroup as group:
        # A nursery raises groups, even of one; what went wrong first is what there is to say.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def _serve(mount: Mount, ready: Callable[[], None]) -> None:
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            reader = BlockReader(mount.source, MemoryCache(mount.cache_size), nursery)
            _mount(mount, Operations(InodeTree(mount.shown), Scratch(), reader))
            try:
                nursery.start_soon(_until_signal, signals, nursery.cancel_scope)
                nursery.start_soon(_when_usable, mount, ready)
                await pyfuse3.main(max_tasks=TASKS)
                nursery.cancel_scope.cancel()
            finally:
                pyfuse3.close(unmount=True)
                log.info("unmounted %s", mount.mountpoint)


async def _when_usable(mount: Mount, ready: Callable[[], None]) -> None:
    """Ask the mount something, from a thread because it is we who answer; then say that it is ready."""
    await trio.to_thread.run_sync(mount.mountpoint.stat, abandon_on_cancel=True)
    enlarge_requests(mount.mountpoint)
    log.info("mounted %s at %s", mount.name, mount.mountpoint)
    ready()


def _mount(mount: Mount, operations: Operations) -> None:
    # Permission bits are not enforced (no default_permissions): without allow_other nobody else gets in at all, with
    # it everybody may read, and what may not be written says EROFS to everybody.
    options = {f"fsname={mount.name}", "subtype=rwmfs", "noatime", "nosuid", "nodev"}
    if mount.allow_other:
        options.add("allow_other")
    try:
        pyfuse3.init(operations, str(mount.mountpoint), options)
    except RuntimeError as error:
        raise MountError(
            f"cannot mount at {mount.mountpoint}: {error}",
            hint="is there a /dev/fuse, and fusermount3 (package fuse3)? --allow-other needs user_allow_other in "
            "/etc/fuse.conf unless you are root",
        ) from None


async def _until_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        log.info("%s: unmounting", signal.Signals(number).name)
        scope.cancel()
        return
