"""Whose the files of a mount are, and which modes they have. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass

DIRECTORY = 0o555
FILE = 0o444
LOCKS = 0o700


@dataclass(frozen=True, slots=True)
class Access:
    """``uid`` and ``gid`` own what is shown; ``umask`` are the permission bits (0 to 0777) that nothing shown has."""

    uid: int
    gid: int
    umask: int = 0

    @classmethod
    def own(cls, uid: int | None = None, gid: int | None = None, umask: int = 0) -> Access:
        """That of the user of this process, but for what is given."""
        return cls(os.getuid() if uid is None else uid, os.getgid() if gid is None else gid, umask)

    @property
    def enforced(self) -> bool:
        """Whether the kernel has to compare each caller with owner and mode: as soon as somebody is kept out.

        It then answers EACCES, before we are asked, also to writes. While everybody may read there is nothing to
        compare, and what may not be written says EROFS to everybody.
        """
        return bool(self.umask & DIRECTORY)

    @property
    def directory(self) -> int:
        """The mode of a directory of the state."""
        return DIRECTORY & ~self.umask

    @property
    def file(self) -> int:
        """The mode of a file of the state."""
        return FILE & ~self.umask

    @property
    def locks(self) -> int:
        """The mode of ``locks/``. Where modes are enforced, whoever may read may also lock, as restic must to read."""
        mode = LOCKS
        if self.enforced:
            for readers, writers in ((0o050, 0o070), (0o005, 0o007)):
                mode |= 0 if self.umask & readers else writers
        return mode
