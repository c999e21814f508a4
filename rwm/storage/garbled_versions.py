"""Deletion of versions whose exact key the server does not list (:mod:`rwm.s3.listing.garbled`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product

from rwm.model import ObjectVersion
from rwm.s3 import DELETE_BATCH, S3
from rwm.s3.listing import CHARACTERS, garble

_REPLACEMENT = "\ufffd"
_MAX_GUESSED = 2  # characters in one key; with more there are too many names


def delete_garbled(s3: S3, bucket: str, versions: Sequence[ObjectVersion]) -> None:
    """Try to delete versions under every name that they may have.

    The names of current objects come from the plain listing, others are guessed character by character. A version id
    belongs to one object, so a wrong name deletes nothing.
    """
    exact: dict[str, list[str]] = {}
    for prefix in sorted({version.key.partition(_REPLACEMENT)[0] for version in versions}):
        for name in s3.current_keys(bucket, prefix):
            exact.setdefault(garble(name), []).append(name)
    pairs = ((name, version.version_id) for version in versions for name in _names(version.key, exact))
    while batch := list(islice(pairs, DELETE_BATCH)):
        s3.delete_versions(bucket, batch)


def _names(key: str, exact: dict[str, list[str]]) -> Iterator[str]:
    yield from exact.get(key, ())
    parts = key.split(_REPLACEMENT)
    if len(parts) - 1 <= _MAX_GUESSED:
        for characters in product(CHARACTERS, repeat=len(parts) - 1):
            yield parts[0] + "".join(a + b for a, b in zip(characters, parts[1:], strict=True))
