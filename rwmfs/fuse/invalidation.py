"""Has the kernel let go of names that it has held for long, so that it and the mount need no more and more memory.

A listing brings the attributes of all that it names. But if any file is let go of meanwhile, the kernel takes them for
outdated (seen with Linux 6.18) and asks for those of each name again, which took three times as long. So what is to be
let go of goes before a directory is opened, and who opens it waits for that.

It is done in a thread, one at a time: the kernel does nothing to a directory in which something is going on, and that
may need an answer from here. For the same reason the mount has to go on answering until the thread has ended.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pyfuse3
import trio

from rwmfs.tree import InodeTree

SECONDS = 1.0
"""How long whoever opens a directory waits at most, and the end of a mount. The rest goes on by itself."""


class DentryInvalidation:
    """For the names of one tree. Used from the trio thread."""

    def __init__(self, tree: InodeTree) -> None:
        self._tree = tree
        self._turn = threading.Lock()  # taken here, given back by the thread
        self._ended = False

    async def before_listing(self) -> None:
        """Let go of what was held too long, while nothing is listed."""
        done, token = trio.Event(), trio.lowlevel.current_trio_token()
        if self._begin(lambda: token.run_sync_soon(done.set)):
            with trio.move_on_after(SECONDS):
                await done.wait()

    def during_listing(self) -> None:
        """The same, some time soon, where there are twice as many as there should be: one directory has too many."""
        if self._tree.too_many > self._tree.most:
            self.soon()

    def soon(self) -> None:
        """The same for names that were looked up one by one."""
        self._begin(lambda: None)

    async def end(self) -> None:
        """Nothing is let go of from now on. To be called while the mount still answers."""
        self._ended = True
        with trio.move_on_after(SECONDS):
            while self._turn.locked():
                await trio.sleep(0.01)

    def _begin(self, done: Callable[[], object]) -> bool:
        """Start the thread, if there is something to do and it is not at work; it calls ``done`` at its end."""
        if self._ended or not self._tree.too_many or not self._turn.acquire(blocking=False):
            return False
        names = self._tree.held_too_long()

        def ended(_: object) -> None:
            self._turn.release()
            try:
                done()
            except trio.RunFinishedError:  # nobody waits any more
                return

        trio.lowlevel.start_thread_soon(lambda: self._let_go(names), ended)
        return True

    def _let_go(self, names: list[tuple[int, str]]) -> None:
        """The kernel answers with ``forget`` for each. It may know them no more, or the mount has ended."""
        for directory, name in names:
            if self._ended:
                return
            try:
                pyfuse3.invalidate_entry(directory, name.encode())
            except OSError as error:
                if error.errno != errno.ENOENT:
                    return
