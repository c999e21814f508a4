"""Prove a freeze with the keys of the frozen machine: every way to write is refused."""

from __future__ import annotations

import time

from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.attempts import Attempt, attempt, probe_key, remove_leftovers

_PROOF_SECONDS = 15.0
"""How long to wait until the freeze takes effect: servers cache policies."""


def prove_freeze(admin: S3, user: S3, location: Location, *, reads: bool) -> list[Attempt]:
    """Try to write, delete and upload below the location with the user's keys, until all of it is refused.

    What got through is removed with the admin's keys. Raises AccessDenied if the server does not accept the user's keys
    at all.
    """
    bucket, key = location.bucket, probe_key(location.prefix)
    operations = {
        "PutObject": lambda: user.call("put_object", Bucket=bucket, Key=key, Body=b""),
        "DeleteObject": lambda: user.call("delete_object", Bucket=bucket, Key=key),
        "CreateMultipartUpload": lambda: user.call("create_multipart_upload", Bucket=bucket, Key=key),
    }
    if not reads:
        operations["ListObjectsV2"] = lambda: user.call("list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1)
    deadline = time.monotonic() + _PROOF_SECONDS
    while True:
        found = [attempt(name, action) for name, action in operations.items()]
        if any(each.outcome != "refused" for each in found):
            remove_leftovers(admin, bucket, [key])
        if all(each.outcome == "refused" for each in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
