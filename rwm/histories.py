"""The history of every key in a bucket, in an order in which restic may be at work meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rwm.listing import by_key
from rwm.model import OWN_PREFIX, ObjectVersion
from rwm.s3 import S3

_FIRST = ("snapshots/", "index/")
_LAST = "data/"


def histories(s3: S3, bucket: str, *, own: bool = False) -> Iterator[Iterator[list[ObjectVersion]]]:
    """One iterator for each top-level prefix, then one for the keys without any; RWM's ``own`` only if asked for.

    Each gives the entries of one key at a time, newest first. A single listing of everything would lose keys on
    SeaweedFS, where ``a/`` stands beside ``a-b/``.
    """
    roots, prefixes = s3.top_level(bucket)
    for prefix in [*listing_order(prefixes), *([OWN_PREFIX] if own else [])]:
        yield by_key(s3.versions(bucket, prefix))
    yield by_key(roots)


def listing_order(prefixes: Iterable[str]) -> list[str]:
    """Top-level prefixes in the order to list them: snapshots, indexes, the rest, data last.

    A snapshot that is seen then has its index and packs there already.
    """
    rank = {prefix: n for n, prefix in enumerate(_FIRST)} | {_LAST: len(_FIRST) + 1}
    others = (prefix for prefix in prefixes if prefix != OWN_PREFIX)
    return sorted(others, key=lambda prefix: (rank.get(prefix, len(_FIRST)), prefix))
