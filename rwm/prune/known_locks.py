"""Object locks of the versions that a prune would delete: those that are known without asking, and refused deletions.

No server tells the locks of many versions in one answer, and none deletes a locked version (without a bypass, which RWM
never asks for). So a plan asks about no version: it keeps what is known to be locked, and execution asks about what the
server then refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rwm.errors import S3Error
from rwm.index import Index
from rwm.location import Location
from rwm.lock import LockRecords
from rwm.model import SHORT_ID, OperationChange
from rwm.prune.key_plan import Deletion
from rwm.s3 import S3, DeleteFailure
from rwm.shell import quote
from rwm.times import DAY, iso

THREADS = 8

HOLD_KNOWN = DAY
"""For how long a legal hold counts as known: it has no end, and may be lifted at any time."""


class KnownLocks:
    """What is known of the locks in a bucket at a time (milliseconds), without a request for any version.

    Locked are versions whose lock RWM has set or found before, those of ``locked_states`` that another computer has
    locked by trusted records, and those that are younger than the bucket's default retention. ``count`` were found.
    """

    def __init__(
        self, s3: S3, index: Index, bucket: str, now: int, locked_states: Iterable[OperationChange] = ()
    ) -> None:
        self.has_object_lock = s3.has_object_lock(bucket)
        default = s3.default_retention(bucket) if self.has_object_lock else None
        self._default = 0 if default is None else default.duration
        self._records = LockRecords(index, bucket, locked_states if self.has_object_lock else ())
        self._now = now
        self.count = 0

    def is_locked(self, deletion: Deletion) -> bool:
        """Whether the version is known to be locked."""
        if not self.has_object_lock:
            return False
        locked = (
            deletion.last_modified + self._default > self._now
            or self._records.known_until(deletion.key, deletion.version_id) > self._now
        )
        self.count += locked
        return locked

    def describe_unknown(self, location: Location) -> list[str]:
        """A sentence, if states that overlap the location are locked and the index has none of their versions."""
        unknown = [
            state for state in self._records.unknown if state.until > self._now and state.location.overlaps(location)
        ]
        if not unknown:
            return []
        first, *more = unknown
        places = {state.location for state in unknown}
        place = places.pop() if len(places) == 1 else location.bucket
        fetch = f"`rwm state sync {quote(place)}` fetches"
        name = f"{first.id[:SHORT_ID]} ({iso(first.captured_at)})"
        if not more:
            return [
                f"state {name} was locked until {iso(first.until)} by another computer and is not in this index: "
                f"{fetch} it"
            ]
        until = iso(max(state.until for state in unknown))
        return [
            f"{len(unknown)} states were locked, the longest until {until}, by another computer and are not in this "
            f"index, the oldest is {name}: {fetch} them"
        ]


def find_locks(s3: S3, bucket: str, failures: Sequence[DeleteFailure], now: int) -> Mapping[DeleteFailure, int]:
    """Until when those versions are locked whose deletion failed because of it: one request for each failure.

    A legal hold counts until :data:`HOLD_KNOWN` from ``now`` (milliseconds).
    """

    def find(failure: DeleteFailure) -> int:
        try:
            lock = s3.version_lock(bucket, failure.key, failure.version_id)
        except S3Error:  # a marker has none; or the account may not ask
            return 0
        return max(lock.until, now + HOLD_KNOWN if lock.is_held else 0)

    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(failures, pool.map(find, failures), strict=True))
    return {failure: until for failure, until in found.items() if until > now}
