"""Reading object versions: scheduling of fetches, the buffer in memory, and verification of content.

May import the shared modules, ``prefetch``, ``cache``, ``rwm.restic`` for hashes; it gets an ``ObjectReader``, never
S3.
Begin reading at ``reader.py``: a read from open to close; ``scheduler.py``: which fetches start; ``fetcher.py``: one
fetch with its retries.
"""

from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.reader import Reader
from rwmfs.read.request_size import DEFAULT_REQUEST_SIZE

__all__ = ["DEFAULT_REQUEST_SIZE", "Counters", "Fetcher", "OpenObject", "Reader"]
