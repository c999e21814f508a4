"""Reading object versions: what to fetch, fetching it, the buffer in memory, and verification of content.

May import ``prefetch``, ``cache``, the shared words; it gets an ``ObjectReader``, never S3.
Begin reading at ``reader.py``.
"""

from rwmfs.read.async_store import Store
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.reader import Reader
from rwmfs.read.request_size import USUAL

__all__ = ["USUAL", "Counters", "Fetcher", "OpenObject", "Reader", "Store"]
