"""Invalidate the oldest dentries, to bound the memory of the kernel and of the mount.

readdirplus delivers the attributes of all names that it lists. But if any dentry is dropped meanwhile, the kernel
considers them outdated (seen with Linux 6.18) and calls getattr for each name, which took three times as long. So
dentries are invalidated before a directory is opened, and opendir waits for that.

A thread does it, one at a time: the kernel locks the directory for an invalidation, and the holder of that lock may be
waiting for an answer from this process. For the same reason the mount must answer requests until the thread has ended.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pyfuse3
import trio

from rwmfs.tree import InodeTree

MAX_WAIT = 1.0
"""Seconds that opendir, and the end of a mount, wait at most for an invalidation; it then continues by itself."""


class DentryInvalidation:
    """Invalidates the excess dentries of one tree. To be used from the trio thread."""

    def __init__(self, tree: InodeTree) -> None:
        self._tree = tree
        self._thread_running = threading.Lock()  # acquired by the trio thread, released when the worker ends
        self._stopped = False

    async def before_listing(self) -> None:
        """Invalidate excess dentries before a directory is listed, and wait for the end."""
        done, token = trio.Event(), trio.lowlevel.current_trio_token()
        if self._start(lambda: token.run_sync_soon(done.set)):
            with trio.move_on_after(MAX_WAIT):
                await done.wait()

    def during_listing(self) -> None:
        """Invalidate in the background during a listing, but only above twice the limit: a very large directory."""
        if self._tree.excess_dentries > self._tree.dentry_limit:
            self.in_background()

    def in_background(self) -> None:
        """Invalidate excess dentries without waiting."""
        self._start(lambda: None)

    async def stop(self) -> None:
        """Start no more invalidations, and wait for a running one. To be called while the mount still answers."""
        self._stopped = True
        with trio.move_on_after(MAX_WAIT):
            while self._thread_running.locked():
                await trio.sleep(0.01)

    def _start(self, done: Callable[[], object]) -> bool:
        """Start the thread if there are excess dentries and none is running; it calls ``done`` at its end."""
        if self._stopped or not self._tree.excess_dentries or not self._thread_running.acquire(blocking=False):
            return False
        dentries = self._tree.pop_oldest_dentries()

        def ended(_: object) -> None:
            self._thread_running.release()
            try:
                done()
            except trio.RunFinishedError:  # the waiting task is gone
                return

        trio.lowlevel.start_thread_soon(lambda: self._invalidate(dentries), ended)
        return True

    def _invalidate(self, dentries: list[tuple[int, str]]) -> None:
        """Invalidate each, which the kernel answers with a ``forget``. Any error but ENOENT: the mount has ended."""
        for parent_inode, name in dentries:
            if self._stopped:
                return
            try:
                pyfuse3.invalidate_entry(parent_inode, name.encode())
            except OSError as error:
                if error.errno != errno.ENOENT:
                    return
