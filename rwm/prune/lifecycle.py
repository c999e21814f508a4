"""The lifecycle rule that comes nearest to a prune. Pure; RWM never applies it."""

from __future__ import annotations

from typing import Any

from rwm.location import Location
from rwm.times import DAY

CANNOT = (
    "It counts days since a version was replaced or deleted, and knows no states. So it must keep everything for as "
    "long as the oldest kept state needs anything of it; when states get older, it breaks them without a word.",
    "It does not ask the audit. An attacker who overwrites everything has only to wait that many days: the server "
    "then deletes the good versions itself.",
    "It deletes the first versions of names that were written again, those of state files below rwm/states/ too, by "
    "which forged ones are recognised, and the locks and indexes by which later audits judge the rest.",
    "It takes no minimum age for single keys, no acknowledgement, and writes no record of what it deleted. Versions "
    "under Object Lock stay, as with rwm prune.",
    "rwm storage check reports it as drift, because it removes versions without anybody asking.",
)
"""What the rule cannot express, each in a sentence or two."""


def lifecycle_rule(location: Location, oldest_kept: int, now: int, min_age: int) -> dict[str, Any]:
    """The configuration as for PutBucketLifecycleConfiguration: it loses nothing that kept states need today.

    ``oldest_kept`` is the time of the oldest kept state; all in milliseconds.
    """
    days = max(1, -(-max(now - oldest_kept, min_age) // DAY))
    return {
        "Rules": [
            {
                "ID": f"rwm-prune-{location.prefix.rstrip('/') or 'bucket'}",
                "Status": "Enabled",
                "Filter": {"Prefix": location.prefix},
                "NoncurrentVersionExpiration": {"NoncurrentDays": days},
                "Expiration": {"ExpiredObjectDeleteMarker": True},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": max(1, -(-min_age // DAY))},
            }
        ]
    }
