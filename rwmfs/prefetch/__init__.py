"""Decides what to fetch before it is read: read-ahead within an object, and the next packs in upload order.

May import the shared modules, ``rwm.restic`` for the names of packs.
Begin reading at ``repository.py``: which packs of a repository to fetch before they are opened; it decides by
``upload_order.py`` (which come next), ``depth.py`` and ``budget.py`` (how many), and leaves the fetches to a
``PackFetcher``. ``prefetcher.py``: all repositories that are read. ``read_ahead.py``: how far to read ahead of one
handle. ``access_pattern.py``: whether to fetch the next object whole.
"""

from rwmfs.prefetch.access_pattern import AccessPattern
from rwmfs.prefetch.prefetcher import Prefetcher
from rwmfs.prefetch.read_ahead import ReadAhead
from rwmfs.prefetch.repository import PackFetcher

__all__ = ["AccessPattern", "PackFetcher", "Prefetcher", "ReadAhead"]
