"""The disk cache, shared by all mounts of a user: bounded in size, with a checksum for every block.

May import the shared modules; it knows neither trio nor S3.
Begin reading at ``interface.py``: the contract of a store; ``store.py``: the implementation; ``block_file.py``: the
file format.
"""

from rwmfs.cache.directory import cache_usage, empty_cache
from rwmfs.cache.interface import BLOCK, BlockStore, StoredRange
from rwmfs.cache.store import DiskCache

__all__ = ["BLOCK", "BlockStore", "DiskCache", "StoredRange", "cache_usage", "empty_cache"]
