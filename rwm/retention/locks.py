"""Object locks of the versions that a prune would delete."""

from __future__ import annotations

from rwm.errors import NotFound, S3Error
from rwm.retention.key_plan import Deletion
from rwm.s3 import S3


class Locks:
    """Object locks of a bucket. The server is asked only where the bucket can have locks; ``count`` were found."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._is_supported = s3.has_object_lock(bucket)
        self.count = 0

    def is_locked(self, deletion: Deletion) -> bool:
        """Whether the version is locked; True when the server does not tell, so that it is kept."""
        if not self._is_supported:
            return False
        try:
            locked = self._s3.lock_reason(self._bucket, deletion.key, deletion.version_id) is not None
        except NotFound:
            return False
        except S3Error:
            locked = True
        self.count += locked
        return locked
