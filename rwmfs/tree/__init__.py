"""The tree that a mount shows: inodes, the contents of one state or of all, and the ``locks/`` scratch. Pure.

May import the shared words, ``rwm.index`` for types, ``rwm.console`` for what people read.
Begin reading at ``contents.py``: what a directory shows; ``inodes.py``: its numbers.
"""

from rwmfs.tree.browse import Browse
from rwmfs.tree.contents import LOCKS, Contents, Found, Link, SingleState, Text
from rwmfs.tree.inodes import HASHED, HELD, ROOT_INODE, InodeTree, Listing, LiveListing, UnknownInode
from rwmfs.tree.scratch import SCRATCH_INODE, Scratch, ScratchDirectory, ScratchError, ScratchFile

__all__ = [
    "HASHED",
    "HELD",
    "LOCKS",
    "ROOT_INODE",
    "SCRATCH_INODE",
    "Browse",
    "Contents",
    "Found",
    "InodeTree",
    "Link",
    "Listing",
    "LiveListing",
    "Scratch",
    "ScratchDirectory",
    "ScratchError",
    "ScratchFile",
    "SingleState",
    "Text",
    "UnknownInode",
]
