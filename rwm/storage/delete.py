"""Delete a bucket, or a prefix of it, with everything in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rwm.errors import BadResponse, NotFound, NotSupported
from rwm.location import Location
from rwm.s3 import DELETE_BATCH, S3, DeleteFailure
from rwm.s3.listing import Page
from rwm.storage.garbled_versions import delete_garbled

GARBLED = "GarbledKey"
"""Code of a failure that is not the server's: it does not list the exact key, so the version cannot be named."""

Progress = Callable[[int], None]


def delete_storage(
    s3: S3,
    location: Location,
    progress: Progress = lambda count: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[DeleteFailure]:
    """Delete a bucket with every version in it; at a prefix, every version below it, and the bucket stays.

    Returns the first versions that the server does not delete: locked ones, for example; the rest then remains.
    Unfinished uploads are aborted, before and after; ``warn`` is called where the server does not list them. A failure
    counts only if the next listing still has the version: in a bucket without versioning SeaweedFS confirms none.
    Raises NotFound for an unknown bucket, and BadResponse when versions that the server says are deleted stay listed.
    """
    bucket, prefix = location.bucket, location.prefix
    try:
        _abort_uploads(s3, location)
    except NotSupported as error:  # the bucket can be deleted without it
        warn(f"{error.hint}: their parts may stay and use space")
    before: list[tuple[str, str]] = []
    failures: list[DeleteFailure] = []
    while True:
        page = next(s3.list_pages(bucket, prefix, page_size=DELETE_BATCH))
        if page.garbled:
            if left := _delete_garbled(s3, location, page):
                return left
            continue
        if not page.versions:
            break
        listed = [(version.key, version.version_id) for version in page.versions]
        if kept := [failure for failure in failures if failure[:2] in listed]:
            return kept
        if listed == before:
            raise BadResponse(f"bucket {bucket}: the server still lists {listed[0][0]!r}, which it says is deleted")
        failures = s3.delete_versions(bucket, listed)
        progress(len(page.versions))
        before = listed
    s3.unknown_keys.forget(location)
    with suppress(NotSupported):
        _abort_uploads(s3, location)  # of those that began meanwhile
    if not prefix:
        s3.delete_bucket(bucket)
    return []


def _abort_uploads(s3: S3, location: Location) -> None:
    uploads = [upload for upload in s3.unfinished_uploads(location.bucket) if upload[0].startswith(location.prefix)]
    for key, upload, _ in uploads:
        with suppress(NotFound):  # ended meanwhile, or its key has characters that SeaweedFS cannot express
            s3.abort_upload(location.bucket, key, upload)


def _delete_garbled(s3: S3, location: Location, page: Page) -> list[DeleteFailure]:
    """Delete the garbled versions of the first page; those that it still shows afterwards."""
    delete_garbled(s3, location.bucket, page.garbled)
    tried = {(version.key, version.version_id) for version in page.garbled}
    again = next(s3.list_pages(location.bucket, location.prefix, page_size=DELETE_BATCH)).garbled
    left = [version for version in again if (version.key, version.version_id) in tried]
    return [DeleteFailure(version.key, version.version_id, GARBLED) for version in left]
