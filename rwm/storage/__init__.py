"""Protected buckets: create one, say who may reach what in it, check it, describe it, delete it.

May import the shared modules, ``s3``, ``index``, ``operations``, ``statefile``.
Begin reading at ``policy.py``: the policy of a protected bucket; ``users.py``: what each user may reach; ``create.py``:
from an account to such a bucket; ``freeze.py``: stop a machine; ``drift.py``: what ``check.py`` compares. Two kinds of
probes try the server: ``policy_probe.py`` with the admin's keys, ``probe.py`` with those of a machine.
"""

from rwm.storage.admin_records import is_protected, own_changes, own_locks, own_prunes
from rwm.storage.adopt import AdoptionPlan, apply_adoption, is_adopted, plan_adoption
from rwm.storage.attempts import Attempt, passed
from rwm.storage.bucket_lock import BucketLock, LockedVersions, find_locked, read_lock
from rwm.storage.change import PolicyChange, grant_access, revoke_access
from rwm.storage.check import Inspection, check_storage, inspect_storage
from rwm.storage.create import create_storage, ensure_storage
from rwm.storage.delete import delete_storage
from rwm.storage.drift import Drift
from rwm.storage.features import MissingFeature, missing_features
from rwm.storage.fix import FixStep, apply_fix, plan_fix
from rwm.storage.freeze import FreezeResult, freeze_storage, thaw_storage
from rwm.storage.freeze_proof import prove_freeze
from rwm.storage.info import StorageInfo, count_classes, storage_info, versioning_state
from rwm.storage.overview import StorageRow, list_storage
from rwm.storage.past import Past, describe_unknown
from rwm.storage.pin import Pinned
from rwm.storage.probe import probe_storage
from rwm.storage.reach import active_users, granted_prefixes, is_strict
from rwm.storage.users import (
    NO_RIGHTS,
    Rights,
    UserAccess,
    describe_change,
    parse_granted_prefix,
    parse_user,
    single_prefix,
)

__all__ = [
    "NO_RIGHTS",
    "AdoptionPlan",
    "Attempt",
    "BucketLock",
    "Drift",
    "FixStep",
    "FreezeResult",
    "Inspection",
    "LockedVersions",
    "MissingFeature",
    "Past",
    "Pinned",
    "PolicyChange",
    "Rights",
    "StorageInfo",
    "StorageRow",
    "UserAccess",
    "active_users",
    "apply_adoption",
    "apply_fix",
    "check_storage",
    "count_classes",
    "create_storage",
    "delete_storage",
    "describe_change",
    "describe_unknown",
    "ensure_storage",
    "find_locked",
    "freeze_storage",
    "grant_access",
    "granted_prefixes",
    "inspect_storage",
    "is_adopted",
    "is_protected",
    "is_strict",
    "list_storage",
    "missing_features",
    "own_changes",
    "own_locks",
    "own_prunes",
    "parse_granted_prefix",
    "parse_user",
    "passed",
    "plan_adoption",
    "plan_fix",
    "probe_storage",
    "prove_freeze",
    "read_lock",
    "revoke_access",
    "single_prefix",
    "storage_info",
    "thaw_storage",
    "versioning_state",
]
