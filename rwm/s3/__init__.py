"""The S3 adapter: the only owner of boto3 and botocore.

May import the shared modules, ``s3.listing``.
Begin reading at ``reader.py``: what a reader owes its caller; ``client.py``: an account, with its operations in base
classes.

Every error of the SDK becomes an error of RWM (``error_mapping.py``); only a 404 means absence.
"""

from rwm.s3.buckets import Policy
from rwm.s3.client import S3, connect
from rwm.s3.clock import ServerClock, read_clock, wait_for_next_second
from rwm.s3.credentials import current_credentials
from rwm.s3.objects import DELETE_BATCH, CurrentObject, DeleteFailure, VersionLock
from rwm.s3.part_copy import COPY_LIMIT, part_ranges
from rwm.s3.retention import DefaultRetention

__all__ = [
    "COPY_LIMIT",
    "DELETE_BATCH",
    "S3",
    "CurrentObject",
    "DefaultRetention",
    "DeleteFailure",
    "Policy",
    "ServerClock",
    "VersionLock",
    "connect",
    "current_credentials",
    "part_ranges",
    "read_clock",
    "wait_for_next_second",
]
