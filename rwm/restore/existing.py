"""What a target directory already has: files of the state from an earlier run, and what does not belong to it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import IO, NamedTuple

from rwm.model import Entry, StateTree, TreeNode
from rwm.restic import expected_sha256
from rwm.restore.private_directory import PrivateDirectory, list_directory, reason_not_private

LOST_FOUND = "lost+found"
"""The directory in the root of a new ext4 filesystem."""

_MD5 = re.compile("[0-9a-f]{32}", re.ASCII)
_CHUNK = 1 << 20
_PAGE = 1000


class Foreign(NamedTuple):
    """A file or directory that does not belong to the state. ``path`` is below the target; ``why`` follows it."""

    path: str
    why: str


def find_foreign(
    root: PrivateDirectory, tree: StateTree, own: Mapping[str, Callable[[str], bool]]
) -> Iterator[Foreign]:
    """What is below the directory and no restore of the state can have left there. Reads no file.

    ``own`` are directories in the root that the restore makes for itself, with a test of the names that may be in each.
    Memory is bounded by the largest directory.
    """
    return _find_foreign(root, tree, tree.root, own, ())


def _find_foreign(
    root: PrivateDirectory,
    tree: StateTree,
    directory: int,
    own: Mapping[str, Callable[[str], bool]],
    names: tuple[str, ...],
) -> Iterator[Foreign]:
    with root.open_directory(*names) as number:
        found = list_directory(number)
    below = []
    for node in _children(tree, directory):
        if (status := found.pop(node.name, None)) is None:
            continue
        if why := _reason_foreign(node, status):
            yield Foreign("/".join((*names, node.name)), why)
        elif node.directory is not None:
            below.append(node)
    for name, status in found.items():
        if not names and name == LOST_FOUND and stat.S_ISDIR(status.st_mode):
            continue
        if not names and name in own:
            yield from _find_in_own(root, name, status, own[name])
        else:
            yield Foreign("/".join((*names, name)), "is not of the state")
    for node in below:
        assert node.directory is not None
        yield from _find_foreign(root, tree, node.directory, own, (*names, node.name))


def _children(tree: StateTree, directory: int) -> Iterator[TreeNode]:
    after = ""
    while page := tree.children(directory, after, _PAGE):
        yield from page
        after = page[-1].name


def _reason_foreign(node: TreeNode, status: os.stat_result) -> str | None:
    """Why what has the name of a node is none that a restore left; None if it may be one."""
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if node.entry is None:
        return reason_not_private(status) if stat.S_ISDIR(status.st_mode) else "is no directory"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_size > node.entry.size and expected_sha256(node.entry.key) is None:
        return "is larger than in the state"
    return reason_not_private(status)


def _find_in_own(
    root: PrivateDirectory, name: str, status: os.stat_result, is_own: Callable[[str], bool]
) -> Iterator[Foreign]:
    if not stat.S_ISDIR(status.st_mode):
        yield Foreign(name, "is no directory")
        return
    if why := reason_not_private(status):
        yield Foreign(name, why)
        return
    with root.open_directory(name) as number:
        found = list_directory(number)
    for file, status in found.items():
        if not is_own(file) or not stat.S_ISREG(status.st_mode):
            yield Foreign(f"{name}/{file}", "is not of the state")


def is_proved(entry: Entry, file: IO[bytes]) -> bool:
    """Whether the file has the content of the entry, by the SHA-256 in its name or an ETag that is an MD5 sum."""
    if os.fstat(file.fileno()).st_size != entry.size:
        return False
    if (sha256 := expected_sha256(entry.key)) is not None:
        return _digest(file, "sha256") == sha256
    return _MD5.fullmatch(entry.etag) is not None and _digest(file, "md5") == entry.etag


def _digest(file: IO[bytes], algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        digest.update(chunk)
    return digest.hexdigest()


def is_beginning(part: IO[bytes], whole: IO[bytes]) -> bool:
    """Whether ``whole`` begins with all of ``part``: what an interrupted write leaves."""
    part.seek(0)
    whole.seek(0)
    return all(chunk == whole.read(len(chunk)) for chunk in iter(lambda: part.read(_CHUNK), b""))
