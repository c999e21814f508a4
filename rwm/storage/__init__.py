"""Protected buckets: create one, check it, describe it, delete it.

May import the shared modules, ``s3``, ``statefile``.
Begin reading at ``policy.py``: the policy of a protected bucket; ``create.py``: from an account to such a bucket;
``drift.py``: what ``check.py`` compares.
"""

from rwm.storage.check import check_storage
from rwm.storage.create import create_storage
from rwm.storage.delete import delete_storage
from rwm.storage.drift import Drift
from rwm.storage.info import StorageInfo, count_classes, storage_info, versioning_state

__all__ = [
    "Drift",
    "StorageInfo",
    "check_storage",
    "count_classes",
    "create_storage",
    "delete_storage",
    "storage_info",
    "versioning_state",
]
