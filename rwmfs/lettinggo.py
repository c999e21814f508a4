"""Has the kernel let go of names that it has held for long, so that it and the mount need no more and more memory.

A listing brings the attributes of all that it names. But if any file is let go of meanwhile, the kernel takes them for
outdated (seen with Linux 6.18) and asks for those of each name again, which took three times as long. So what is to be
let go of goes before a directory is opened, and who opens it waits for that. It waits in a thread: the kernel does
nothing to a directory in which something is going on, and that may need an answer from here.
"""

from __future__ import annotations

import errno

import pyfuse3
import trio

from rwmfs.tree import InodeTree

SECONDS = 1.0
"""How long whoever opens a directory waits at most. The rest goes on by itself."""


class LettingGo:
    """For the names of one tree. Used from the trio thread."""

    def __init__(self, tree: InodeTree) -> None:
        self._tree = tree
        self._turn = trio.Lock()

    async def before_listing(self) -> None:
        """Let go of what was held too long, while nothing is listed."""
        if not self._tree.too_many:
            return
        with trio.move_on_after(SECONDS):
            async with self._turn:
                await trio.to_thread.run_sync(_let_go, self._tree.held_too_long(), abandon_on_cancel=True)

    def during_listing(self) -> None:
        """The same, some time soon, where there are twice as many as there should be: one directory has too many."""
        if self._tree.too_many > self._tree.most:
            self.soon()

    def soon(self) -> None:
        """The same for names that were looked up one by one."""
        for directory, name in self._tree.held_too_long():
            pyfuse3.invalidate_entry_async(directory, name.encode(), ignore_enoent=True)


def _let_go(names: list[tuple[int, str]]) -> None:
    """The kernel answers with ``forget`` for each. It may know them no more, or the mount has ended."""
    for directory, name in names:
        try:
            pyfuse3.invalidate_entry(directory, name.encode())
        except OSError as error:
            if error.errno != errno.ENOENT:
                return
