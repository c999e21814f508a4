"""Restore: download a state into a directory, or copy it into another bucket.

May import the shared modules, ``s3``, ``index``, ``restic``.
Begin reading at ``directory.py``; ``bucket.py`` does the same on the server. ``part.py`` says what is restored,
``transfer.py`` is what both share. ``existing.py`` and ``comparison.py`` say what an interrupted restore has left.
"""

from rwm.restore.bucket import check_apart, restore_to_bucket
from rwm.restore.directory import check_target, restore_to_directory
from rwm.restore.part import StatePart
from rwm.restore.transfer import THREADS, RestoreResult

__all__ = [
    "THREADS",
    "RestoreResult",
    "StatePart",
    "check_apart",
    "check_target",
    "restore_to_bucket",
    "restore_to_directory",
]
