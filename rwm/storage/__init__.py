"""Protected buckets: the policy, and how one is created, checked, described and deleted.

May import the shared words, ``s3``, ``statefile``.
Begin reading at ``policy.py``: what a policy should say and what drift is.
"""

from rwm.storage.service import check_storage, create_storage, delete_storage, storage_info

__all__ = ["check_storage", "create_storage", "delete_storage", "storage_info"]
