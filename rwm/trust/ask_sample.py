"""Ask the server about the single versions that an audit has sampled, which the admin's account may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rwm.errors import NotFound, S3Error, Unreachable
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3 import S3

T = TypeVar("T")

THREADS = 8


def is_admin(s3: S3, location: Location) -> bool:
    """Whether the account owns the bucket: the admin's, which may ask about single versions. Raises Unreachable."""
    try:
        owner, _ = s3.acl(location.bucket)
        return owner == s3.owner_id()
    except Unreachable:
        raise
    except S3Error:  # a machine may not ask
        return False


def ask_about(versions: Sequence[ObjectVersion], ask: Callable[[ObjectVersion], T], absent: T) -> list[T]:
    """The answer about each version, in their order; ``absent`` for one that was deleted meanwhile."""

    def answer(version: ObjectVersion) -> T:
        try:
            return ask(version)
        except NotFound:
            return absent

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(answer, versions))
