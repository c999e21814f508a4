"""Decides what to fetch before it is read: read-ahead within an object, and the next packs in upload order.

May import the shared modules, ``rwm.restic`` for the names of packs.
Begin reading at ``prefetcher.py``: which packs to fetch before they are opened; it decides by ``upload_order.py``
(which come next) and ``depth.py`` (how many), and leaves the fetches to a ``PackFetcher``. ``read_ahead.py``: how far
to read ahead of one handle. ``access_pattern.py``: whether to fetch the next object whole.
"""

from rwmfs.prefetch.access_pattern import AccessPattern
from rwmfs.prefetch.prefetcher import PackFetcher, Prefetcher
from rwmfs.prefetch.read_ahead import ReadAhead

__all__ = ["AccessPattern", "PackFetcher", "Prefetcher", "ReadAhead"]
