"""Fetching data before it is requested: read-ahead within an object, and the next packs in upload order.

May import the shared words, ``rwm.restic`` for the names of packs.
Begin reading at ``prefetcher.py``: packs; ``read_ahead.py``: within an object.
"""

from rwmfs.prefetch.access_pattern import AccessPattern
from rwmfs.prefetch.prefetcher import Prefetcher
from rwmfs.prefetch.read_ahead import Readahead

__all__ = ["AccessPattern", "Prefetcher", "Readahead"]
