"""The tree that a mount shows: inodes, the contents of one state or of all states, and the ``locks/`` in memory. Pure.

May import the shared modules, ``rwm.index`` for types, ``rwm.console`` for text output.
Begin reading at ``contents.py``: what a directory contains; then ``inodes.py``: inodes and lookup counts.
"""

from rwmfs.tree.all_states import AllStates
from rwmfs.tree.contents import LOCKS, Contents, DirEntry, GeneratedFile, SingleState, Symlink
from rwmfs.tree.inodes import DENTRY_LIMIT, FIRST_HASHED_INODE, ROOT_INODE, InodeTree, UnknownInode
from rwmfs.tree.listing import Listing, LiveListing
from rwmfs.tree.locks_dir import FIRST_DIRECTORY_INODE, LOCKS_INODE, LockFile, LocksDir, LocksDirs, LocksError

__all__ = [
    "DENTRY_LIMIT",
    "FIRST_DIRECTORY_INODE",
    "FIRST_HASHED_INODE",
    "LOCKS",
    "LOCKS_INODE",
    "ROOT_INODE",
    "AllStates",
    "Contents",
    "DirEntry",
    "GeneratedFile",
    "InodeTree",
    "Listing",
    "LiveListing",
    "LockFile",
    "LocksDir",
    "LocksDirs",
    "LocksError",
    "SingleState",
    "Symlink",
    "UnknownInode",
]
