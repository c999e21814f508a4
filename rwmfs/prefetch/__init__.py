"""Decides what to fetch before it is read: read-ahead within an object, and the next packs in upload order.

There are three decisions, none of which fetches by itself:

- ``read_ahead.py``: how far to read ahead in an object, from the sequential reads of one handle;
- ``access_pattern.py``: whether to fetch the next object whole, from how the last ones were read;
- ``prefetcher.py``: which packs to fetch before they are opened. It drives ``upload_order.py`` (which packs come next)
  and ``depth.py`` (how many of them), and hands its decisions to a ``PackFetcher``.

May import the shared words, ``rwm.restic`` for the names of packs.
Begin reading at ``prefetcher.py``: packs; ``read_ahead.py``: within an object.
"""

from rwmfs.prefetch.access_pattern import AccessPattern
from rwmfs.prefetch.prefetcher import PackFetcher, Prefetcher
from rwmfs.prefetch.read_ahead import ReadAhead

__all__ = ["AccessPattern", "PackFetcher", "Prefetcher", "ReadAhead"]
