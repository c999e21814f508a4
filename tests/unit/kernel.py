"""The FUSE handlers called as the kernel calls them: paths looked up name by name, directories read in pieces."""

from __future__ import annotations

import errno
import os
import stat
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest

from rwmfs.fuse.operations import Operations
from rwmfs.tree.inodes import ROOT_INODE

CONTEXT: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0o022)
ENTRIES_PER_REPLY = 3
"""Entries that fit into one reply to readdir."""


class Kernel:
    """System calls of programs, made of handler calls. Paths have no slash at their ends; ``""`` is the root."""

    def __init__(self, ops: Operations, patch: pytest.MonkeyPatch) -> None:
        self.ops = ops
        self._entries: list[tuple[str, pyfuse3.EntryAttributes, int]] = []
        patch.setattr(pyfuse3, "readdir_reply", self._reply)

    def _reply(self, token: object, name: bytes, attributes: pyfuse3.EntryAttributes, next_position: int) -> bool:
        if len(self._entries) == ENTRIES_PER_REPLY:
            return False
        self._entries.append((name.decode(), attributes, next_position))
        return True

    async def lookup(self, path: str) -> pyfuse3.EntryAttributes:
        """The attributes of a path; raises the OSError that a program would get."""
        try:
            inode, attributes = ROOT_INODE, await self.ops.getattr(ROOT_INODE, CONTEXT)
            for name in path.split("/") if path else []:
                attributes = await self.ops.lookup(inode, name.encode(), CONTEXT)
                inode = attributes.st_ino
                if inode == 0:
                    raise FileNotFoundError(errno.ENOENT, path)
        except pyfuse3.FUSEError as error:
            raise OSError(error.errno, path) from None
        return attributes

    async def names(self, path: str) -> list[str]:
        """The names in a directory in listed order; a listed entry has the same attributes as a lookup of it."""
        handle = await self.ops.opendir((await self.lookup(path)).st_ino, CONTEXT)
        found: list[str] = []
        while names := await self.readdir(handle, self._entries[-1][2] if found else 0):
            for name, attributes, _ in self._entries:
                looked_up = await self.lookup(f"{path}/{name}".lstrip("/"))
                assert looked_up.__getstate__() == attributes.__getstate__()
            found += names
        await self.ops.releasedir(handle)
        return found

    async def readdir(self, handle: int, position: int) -> list[str]:
        """The names in one reply to readdir."""
        self._entries = []
        token: Any = None
        await self.ops.readdir(handle, position, token)
        return [name for name, _, _ in self._entries]

    async def read(self, path: str) -> bytes:
        """The content of a file."""
        try:
            opened = await self.ops.open((await self.lookup(path)).st_ino, os.O_RDONLY, CONTEXT)
            data = b""
            while chunk := bytes(await self.ops.read(opened.fh, len(data), 5)):
                data += chunk
            await self.ops.release(opened.fh)
        except pyfuse3.FUSEError as error:
            raise OSError(error.errno, path) from None
        return data

    async def readlink(self, path: str) -> str:
        """The target of a symbolic link."""
        return (await self.ops.readlink((await self.lookup(path)).st_ino, CONTEXT)).decode()

    async def xattrs(self, path: str) -> dict[str, str]:
        """The extended attributes of a path."""
        inode = (await self.lookup(path)).st_ino
        names = await self.ops.listxattr(inode, CONTEXT)
        return {name.decode(): (await self.ops.getxattr(inode, name, CONTEXT)).decode() for name in names}

    async def read_tree(self, path: str = "") -> dict[str, bytes | str | None]:
        """All paths below a directory: the content of a file, ``-> target`` of a link, None for a directory."""
        found: dict[str, bytes | str | None] = {}
        for name in await self.names(path):
            here = f"{path}/{name}".lstrip("/")
            attributes = await self.lookup(here)
            if stat.S_ISDIR(attributes.st_mode):
                found[here] = None
                found |= await self.read_tree(here)
            elif stat.S_ISLNK(attributes.st_mode):
                found[here] = "-> " + await self.readlink(here)
            else:
                found[here] = await self.read(here)
        return found
