"""The S3 adapter: the only part of RWM that imports boto3 or botocore.

Every error of the SDK becomes one of RWM's own; only a 404 is ever taken for absence.
"""

from rwm.s3.client import S3, Credentials, connect
from rwm.s3.objects import NOT_CONFIRMED, BucketReader, DeleteFailure

__all__ = ["NOT_CONFIRMED", "S3", "BucketReader", "Credentials", "DeleteFailure", "connect"]
