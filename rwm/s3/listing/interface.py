"""What a listing needs of an S3 account: the versions below a prefix, and one directory level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rwm.model import ObjectVersion
from rwm.s3.listing.sibling_order import Level
from rwm.s3.listing.unknown_keys import UnknownKeys


class Lister(Protocol):
    """Lists versions. :class:`rwm.s3.S3` implements it; any thread may call it."""

    @property
    def unknown_keys(self) -> UnknownKeys:
        """The keys that the listings so far could not tell: garbled ones are in no batch."""

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Every entry below ``prefix``, in batches, per key newest first; the entries of one key are consecutive."""

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        """The entries of the keys directly in a directory, and the prefixes of all others."""
