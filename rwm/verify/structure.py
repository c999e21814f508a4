"""Compare a state with one listing of its location: presence, size, ETag and time of each version."""

from __future__ import annotations

from collections.abc import Callable

from rwm.index import Index, ListedVersions
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restic import expected_sha256
from rwm.s3 import S3
from rwm.s3.listing import list_by_prefix
from rwm.verify.report import Problem, VerifyReport


def list_state(
    s3: S3,
    index: Index,
    info: StateInfo,
    prefix: str | None = None,
    *,
    concurrency: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> ListedVersions:
    """List the state's location, and compare what is there with the state; of a part only what is below ``prefix``.

    The caller closes the result.

    Memory is constant. Raises S3Error when the listing is not complete: then nothing is known.
    """
    location = info.location if prefix is None else Location(info.bucket, prefix)
    listed = index.listed_versions(info, prefix)
    try:
        for part in list_by_prefix(s3, location, iter, concurrency=concurrency):
            for batch in part:
                listed.add(batch)
                progress(len(batch))
    except BaseException:
        listed.close()
        raise
    return listed


def verify_structure(listed: ListedVersions, report: VerifyReport) -> None:
    """Report each version of the state that is missing or differs from the listed one."""
    report.checked, report.bytes = listed.totals()
    differing = 0
    for version in listed.read(differing=True):
        report.add(Problem("wrong", version.entry.key, version.entry.version_id, version.fault or ""))
        differing += 1
    if report.checked + differing == report.part.objects:
        return
    for entry in listed.missing():
        report.add(Problem("missing", entry.key, entry.version_id))
        if expected_sha256(entry.key) is not None:
            report.provable_bytes += entry.size
