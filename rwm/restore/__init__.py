"""Restore: a state made real again, in a directory or in another bucket.

May import the shared words, ``s3``, ``index``, ``restic``.
Begin reading at ``service.py``.
"""

from rwm.restore.service import restore_to_bucket, restore_to_directory

__all__ = ["restore_to_bucket", "restore_to_directory"]
