"""Complete version listings: page parsers, the listing check, workarounds for servers that lose keys, parallel listing.

May import the shared modules; it gets an account as a ``Lister``.
Begin reading at ``interface.py``, then ``history.py``: every key of a location with its versions; ``phases.py``: the
same for a capture; ``discovery.py``: where repositories are.
"""

from rwm.s3.listing.ahead import Begun, begin_listings
from rwm.s3.listing.check import ListingCheck, group_by_key, is_torn
from rwm.s3.listing.discovery import Discovered, check_location, discover, enclosing_repository
from rwm.s3.listing.garbled import CHARACTERS, garble, is_garbled
from rwm.s3.listing.history import list_by_prefix, list_histories
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.pages import Page, UploadPage, parse_page, parse_uploads
from rwm.s3.listing.parallel import list_in_parallel
from rwm.s3.listing.per_directory import DirectoryLister
from rwm.s3.listing.phases import list_in_phases
from rwm.s3.listing.queue import map_in_threads, merge_in_threads
from rwm.s3.listing.recorded import RecordedLister
from rwm.s3.listing.sibling_order import Level
from rwm.s3.listing.unknown_keys import UnknownKey, UnknownKeys

__all__ = [
    "CHARACTERS",
    "Begun",
    "DirectoryLister",
    "Discovered",
    "Level",
    "Lister",
    "ListingCheck",
    "Page",
    "RecordedLister",
    "UnknownKey",
    "UnknownKeys",
    "UploadPage",
    "begin_listings",
    "check_location",
    "discover",
    "enclosing_repository",
    "garble",
    "group_by_key",
    "is_garbled",
    "is_torn",
    "list_by_prefix",
    "list_histories",
    "list_in_parallel",
    "list_in_phases",
    "map_in_threads",
    "merge_in_threads",
    "parse_page",
    "parse_uploads",
]
