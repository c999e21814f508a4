"""The disk cache, shared by all mounts of a user: bounded, never stale, with a checksum for every block.

May import the shared words; it knows neither trio nor S3.
Begin reading at ``store.py``: read and write; ``block_file.py``: the file format.
"""

from rwmfs.cache.block_file import BLOCK, StoredRange
from rwmfs.cache.directory import empty, usage
from rwmfs.cache.store import DiskCache

__all__ = ["BLOCK", "DiskCache", "StoredRange", "empty", "usage"]
