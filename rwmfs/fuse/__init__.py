"""The adapter between the kernel and the rest: FUSE handlers, attributes, errnos. It decides nothing about content.

May import ``tree``, ``read``, the shared words.
Begin reading at ``operations.py``.
"""

from rwmfs.fuse.access import Access
from rwmfs.fuse.operations import Operations

__all__ = ["Access", "Operations"]
