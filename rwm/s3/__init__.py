"""The S3 adapter: the only owner of boto3 and botocore.

Every error of the SDK becomes one of RWM's own; only a 404 is ever taken for absence.
May import the shared words and ``s3.listing``.
Begin reading at ``client.py``: what an account can do is in its base classes.
"""

from rwm.s3.buckets import Policy
from rwm.s3.client import S3, Credentials, connect
from rwm.s3.objects import DeleteFailure

__all__ = ["S3", "Credentials", "DeleteFailure", "Policy", "connect"]
