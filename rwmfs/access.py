"""Owner and modes of the files of a mount. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass

DIRECTORY = 0o555
FILE = 0o444
LOCKS = 0o700


@dataclass(frozen=True, slots=True)
class Access:
    """``uid`` and ``gid`` own every file; ``umask`` (0 to 0777) has the permission bits to clear."""

    uid: int
    gid: int
    umask: int = 0

    @classmethod
    def own(cls, uid: int | None = None, gid: int | None = None, umask: int = 0) -> Access:
        """The user and group of this process, unless given."""
        return cls(os.getuid() if uid is None else uid, os.getgid() if gid is None else gid, umask)

    @property
    def enforced(self) -> bool:
        """Whether the kernel must check permissions (default_permissions): as soon as somebody may not read.

        It then answers EACCES by itself, also to writes. While everybody may read there is nothing to check, and
        every write gets EROFS from us.
        """
        return bool(self.umask & DIRECTORY)

    @property
    def directory(self) -> int:
        """The mode of a directory outside ``locks/``."""
        return DIRECTORY & ~self.umask

    @property
    def file(self) -> int:
        """The mode of a file outside ``locks/``."""
        return FILE & ~self.umask

    @property
    def locks(self) -> int:
        """The mode of ``locks/``. Where modes are enforced, users who may read may also lock: restic locks to read."""
        mode = LOCKS
        if self.enforced:
            for readers, writers in ((0o050, 0o070), (0o005, 0o007)):
                mode |= 0 if self.umask & readers else writers
        return mode
