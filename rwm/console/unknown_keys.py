"""The warning about keys that a version listing cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwm.console.formatting import shorten
from rwm.console.output import warn
from rwm.location import Location
from rwm.phrases import format_count

if TYPE_CHECKING:
    from rwm.s3 import S3

_NAMED = 3


def warn_of_unknown_keys(s3: S3) -> bool:
    """Warn in one line for each bucket whose listing met unknown keys; whether there was one."""
    buckets = s3.unknown_keys.buckets()
    for bucket in buckets:
        keys = [key.key for key in s3.unknown_keys.below(Location(bucket))]
        named = ", ".join(shorten(repr(key)) for key in keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
        warn(
            f"bucket {bucket}: the server does not list {format_count(len(keys), 'key')} in a way that can be relied "
            f"on: {named}; all other keys are not affected"
        )
    return bool(buckets)
