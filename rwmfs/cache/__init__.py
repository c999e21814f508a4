"""The cache on disk, shared by all mounts of a user: bounded, never stale, checked when it is read.

May import the shared words; it knows neither trio nor S3.
Begin reading at ``store.py``; the form of a file is in ``block_file.py``.
"""

from rwmfs.cache.block_file import BLOCK, StoredRange
from rwmfs.cache.directory import empty, usage
from rwmfs.cache.store import DiskCache

__all__ = ["BLOCK", "DiskCache", "StoredRange", "empty", "usage"]
