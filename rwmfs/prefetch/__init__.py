"""Fetching before it is asked for: read-ahead within an object, and the next packs in upload order.

May import ``rwm.restic`` for names, the shared words.
Begin reading at ``prefetcher.py``; ``read_ahead.py`` for a single object.
"""

from rwmfs.prefetch.access_pattern import AccessPattern
from rwmfs.prefetch.prefetcher import Prefetcher
from rwmfs.prefetch.read_ahead import Readahead

__all__ = ["AccessPattern", "Prefetcher", "Readahead"]
