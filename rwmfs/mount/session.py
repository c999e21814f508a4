"""The life of a mount: from the kernel's consent to a clean end, in one trio run.

The session's nursery holds the FUSE workers, the fetches and the wait for signals. It ends when somebody unmounts, or
on SIGTERM, SIGINT and SIGHUP: then everything is cancelled, requests under way are answered by the kernel, and the
mountpoint is freed, lazily if it is in use. Threads that still wait for S3 or for a disk are left to themselves and end
with the process. SIGUSR1 asks what the mount has done so far: the answer is a line in the log, as at the end.
"""

from __future__ import annotations

import logging
import select
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyfuse3
import trio

from rwm.errors import MountError
from rwm.model import ObjectReader
from rwmfs import buffer_pool
from rwmfs.defaults import CONNECTIONS, PATIENCE
from rwmfs.fuse import Access, Operations
from rwmfs.mount.mountpoint import enlarge_requests, fuse_descriptor
from rwmfs.read import Counters, Fetcher, Reader, Store
from rwmfs.tree import HELD, Contents, InodeTree, Scratch

log = logging.getLogger(__name__)

TASKS = 256
"""Requests of the kernel that are worked on at once. Reads that wait for S3 must not keep the others out."""

MOMENT = 0.5
"""Seconds between two looks at whether the kernel is done with us."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
QUESTION = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class Mount:
    """What to mount where. ``mountpoint`` is prepared; sizes are in bytes.

    ``buffer_size`` is memory for what was read and is on its way, ``idle`` the part of it that waits to be used again;
    ``disk`` is the cache there, None for none; ``label`` is what lists of mounts call it instead of its name; ``names``
    is how many the kernel may hold; ``patience`` is how many seconds a read may take with all that is tried for it.
    """

    shown: Contents
    source: ObjectReader
    mountpoint: Path
    buffer_size: int
    idle: int = 0
    disk: Store | None = None
    connections: int = CONNECTIONS
    access: Access = field(default_factory=Access.own)
    allow_other: bool = False
    label: str | None = None
    names: int = HELD
    patience: float = PATIENCE

    @property
    def name(self) -> str:
        """How the mount is called in its log, and in lists of mounts unless it has a label."""
        return _plain(f"rwmfs:{self.shown.label}")

    @property
    def options(self) -> set[str]:
        """What the kernel is told.

        ``locks/`` is to be written to, so it is not told that the mount is read-only. It compares callers with owner
        and mode (default_permissions) only where that keeps somebody out, see Access.
        """
        fsname = _plain(self.label) if self.label else self.name
        options = {f"fsname={fsname}", "subtype=rwmfs", "noatime", "nosuid", "nodev", "noexec"}
        return (
            options
            | ({"allow_other"} if self.allow_other else set())
            | ({"default_permissions"} if self.access.enforced else set())
        )


def _plain(name: str) -> str:
    """The name without what has a meaning in lists of mounts and their options."""
    return "".join(c if c.isascii() and c.isprintable() and c not in ", \\" else "_" for c in name)


def serve(mount: Mount, ready: Callable[[], None]) -> None:
    """Mount, call ``ready`` once it can be used, and serve until it is unmounted or told to end.

    Raises MountError when the mount cannot be made. The process is expected to end afterwards: it stays deaf to the
    signals that end a mount, so that one too many does not make a failure of a clean end.
    """
    for number in (*SIGNALS, QUESTION):
        signal.signal(number, signal.SIG_IGN)
    buffer_pool.share()
    try:
        trio.run(_serve, mount, ready)
    except BaseExceptionGroup as group:
        # A nursery raises groups, even of one; what went wrong first is what there is to say.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def _serve(mount: Mount, ready: Callable[[], None]) -> None:
    counters = Counters()
    with trio.open_signal_receiver(*SIGNALS, QUESTION) as signals:
        async with trio.open_nursery() as nursery:
            fetcher = Fetcher(mount.source, counters, mount.disk, mount.connections, mount.patience)
            tree = InodeTree(mount.shown, most=mount.names)
            reader = Reader(fetcher, mount.buffer_size, nursery, mount.shown.upload_order, idle=mount.idle)
            operations = Operations(tree, Scratch(), reader, mount.access)
            _mount(mount, operations)
            try:
                nursery.start_soon(_until_signal, signals, counters, operations, nursery.cancel_scope)
                nursery.start_soon(_when_usable, mount, ready)
                nursery.start_soon(_until_unmounted, nursery.cancel_scope)
                await pyfuse3.main(max_tasks=TASKS)
                nursery.cancel_scope.cancel()
            finally:
                pyfuse3.close(unmount=True)
                counters.wasted += reader.unread
                log.info("unmounted %s: %s, %s names held", mount.mountpoint, counters.line(), len(tree))


async def _when_usable(mount: Mount, ready: Callable[[], None]) -> None:
    """Ask the mount something, from a thread because it is we who answer; then say that it is ready."""
    await trio.to_thread.run_sync(mount.mountpoint.stat, abandon_on_cancel=True)
    enlarge_requests(mount.mountpoint)
    log.info("mounted %s at %s", mount.name, mount.mountpoint)
    ready()


async def _until_unmounted(scope: trio.CancelScope) -> None:
    """Cancel when the kernel has hung up.

    pyfuse3 notices as well, but waits for reads under way: of programs that were killed while the server was silent.
    """
    device = select.poll()
    device.register(fuse_descriptor(), 0)  # an error is told even if nothing is asked for
    while not device.poll(0):
        await trio.sleep(MOMENT)
    scope.cancel()


def _mount(mount: Mount, operations: Operations) -> None:
    try:
        pyfuse3.init(operations, str(mount.mountpoint), mount.options)
    except RuntimeError as error:
        raise MountError(
            f"cannot mount at {mount.mountpoint}: {error}",
            hint="is there a /dev/fuse, and fusermount3 (package fuse3)? --allow-other needs user_allow_other in "
            "/etc/fuse.conf unless you are root",
        ) from None


async def _until_signal(
    signals: AsyncIterator[int], counters: Counters, operations: Operations, scope: trio.CancelScope
) -> None:
    async for number in signals:
        if number == QUESTION:
            log.info("so far: %s, %s names held", counters.line(), len(operations.tree))
            continue
        log.info("%s: unmounting", signal.Signals(number).name)
        await operations.letting_go.end()
        scope.cancel()
        return
