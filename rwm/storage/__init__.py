"""Protected buckets: create one, say who may reach what in it, check it, describe it, delete it.

May import the shared modules, ``s3``, ``statefile``.
Begin reading at ``policy.py``: the policy of a protected bucket; ``users.py``: what each user may reach; ``create.py``:
from an account to such a bucket; ``drift.py``: what ``check.py`` compares.
"""

from rwm.storage.change import PolicyChange, grant_access, revoke_access
from rwm.storage.check import Inspection, check_storage, granted_prefixes, inspect_storage
from rwm.storage.create import create_storage
from rwm.storage.delete import delete_storage
from rwm.storage.drift import Drift
from rwm.storage.info import StorageInfo, count_classes, storage_info, versioning_state
from rwm.storage.overview import StorageRow, list_storage
from rwm.storage.users import UserAccess, describe_change, parse_granted_prefix, parse_user, single_prefix

__all__ = [
    "Drift",
    "Inspection",
    "PolicyChange",
    "StorageInfo",
    "StorageRow",
    "UserAccess",
    "check_storage",
    "count_classes",
    "create_storage",
    "delete_storage",
    "describe_change",
    "grant_access",
    "granted_prefixes",
    "inspect_storage",
    "list_storage",
    "parse_granted_prefix",
    "parse_user",
    "revoke_access",
    "single_prefix",
    "storage_info",
    "versioning_state",
]
