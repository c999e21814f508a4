"""A mount in one trio run, from mounting to a clean end.

The session's nursery holds the FUSE loop, the fetches and the wait for signals. It ends when the filesystem is
unmounted, or on SIGTERM, SIGINT and SIGHUP: then all tasks are cancelled, the kernel fails the requests in flight, and
the mountpoint is unmounted, lazily if it is in use. Threads that still wait for S3 or for a disk are abandoned and end
with the process. SIGUSR1 writes the counters so far to the log, as at the end.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from rwm.model import ObjectReader
from rwmfs import buffer_pool, fuse
from rwmfs.access import Access
from rwmfs.cache import BlockStore
from rwmfs.defaults import CONNECTIONS, FETCH_TIMEOUT
from rwmfs.fuse import Operations
from rwmfs.mount.mountpoint import raise_read_ahead
from rwmfs.read import Counters, Fetcher, Reader
from rwmfs.tree import DENTRY_LIMIT, Contents, InodeTree, LocksDirs

log = logging.getLogger(__name__)

TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
COUNTERS_SIGNAL = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class Mount:
    """What to mount where. ``mountpoint`` is prepared; sizes are in bytes.

    ``buffer_size`` is memory for data read and in flight, ``idle`` the part of it that waits for reuse; ``disk`` is the
    disk cache, if any; ``label`` replaces the name in lists of mounts; ``dentry_limit`` is how many files the kernel
    should hold; ``fetch_timeout`` is the limit on a fetch with all its retries, in seconds.
    """

    contents: Contents
    source: ObjectReader
    mountpoint: Path
    buffer_size: int
    idle: int = 0
    disk: BlockStore | None = None
    connections: int = CONNECTIONS
    access: Access = field(default_factory=Access.own)
    allow_other: bool = False
    label: str | None = None
    dentry_limit: int = DENTRY_LIMIT
    fetch_timeout: float = FETCH_TIMEOUT

    @property
    def name(self) -> str:
        """The name of the mount in its log, and in lists of mounts unless it has a label."""
        return _escape_fsname(f"rwmfs:{self.contents.label}")

    @property
    def options(self) -> set[str]:
        """Options of mount.fuse3(8).

        Not ``ro``, because ``locks/`` is writable. The kernel checks permissions (default_permissions) only where
        somebody may not read, see Access.
        """
        fsname = _escape_fsname(self.label) if self.label else self.name
        options = {f"fsname={fsname}", "subtype=rwmfs", "noatime", "nosuid", "nodev", "noexec"}
        return (
            options
            | ({"allow_other"} if self.allow_other else set())
            | ({"default_permissions"} if self.access.enforced else set())
        )


def _escape_fsname(name: str) -> str:
    """The name with ``_`` for characters that are special in mount options and /proc/self/mountinfo."""
    return "".join(c if c.isascii() and c.isprintable() and c not in ", \\" else "_" for c in name)


def serve(mount: Mount, ready: Callable[[], None]) -> None:
    """Mount, call ``ready`` once the mount answers, and serve until it is unmounted or a signal ends it.

    Raises MountError. The process should exit afterwards: termination signals stay ignored, so that a second one does
    not turn a clean end into a failure.
    """
    for number in (*TERMINATION_SIGNALS, COUNTERS_SIGNAL):
        signal.signal(number, signal.SIG_IGN)
    buffer_pool.use_one_arena()
    try:
        trio.run(_serve, mount, ready)
    except BaseExceptionGroup as group:
        # A nursery raises a group even for a single error; report the first one.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def _serve(mount: Mount, ready: Callable[[], None]) -> None:
    counters = Counters()
    with trio.open_signal_receiver(*TERMINATION_SIGNALS, COUNTERS_SIGNAL) as signals:
        async with trio.open_nursery() as nursery:
            fetcher = Fetcher(mount.source, counters, mount.disk, mount.connections, mount.fetch_timeout)
            tree = InodeTree(mount.contents, dentry_limit=mount.dentry_limit)
            reader = Reader(fetcher, mount.buffer_size, nursery, mount.contents.upload_order, idle=mount.idle)
            operations = Operations(tree, LocksDirs(mount.contents.root), reader, mount.access)
            fuse.mount(operations, mount.mountpoint, mount.options)
            try:
                nursery.start_soon(_handle_signals, signals, counters, operations, nursery.cancel_scope)
                nursery.start_soon(_report_ready, mount, ready)
                await fuse.answer_requests()
                nursery.cancel_scope.cancel()
            finally:
                fuse.unmount()
                counters.wasted += reader.unread
                log.info("unmounted %s: %s, %s names held", mount.mountpoint, counters.line(), len(tree))


async def _report_ready(mount: Mount, ready: Callable[[], None]) -> None:
    """Call ``ready`` once the mount answers a stat, which a thread makes because this thread answers it."""
    await trio.to_thread.run_sync(mount.mountpoint.stat, abandon_on_cancel=True)
    raise_read_ahead(mount.mountpoint)
    log.info("mounted %s at %s", mount.name, mount.mountpoint)
    ready()


async def _handle_signals(
    signals: AsyncIterator[int], counters: Counters, operations: Operations, scope: trio.CancelScope
) -> None:
    async for number in signals:
        if number == COUNTERS_SIGNAL:
            log.info("so far: %s, %s names held", counters.line(), len(operations.tree))
            continue
        log.info("%s: unmounting", signal.Signals(number).name)
        await operations.dentry_invalidation.stop()
        scope.cancel()
        return
