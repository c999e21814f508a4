"""The values and interfaces that all rooms share. Pure: no I/O.

May import the shared modules.
Begin reading at ``entries.py`` and ``states.py``: what a state consists of.

Times are integers, milliseconds since 1970-01-01 UTC (the precision of S3 listings). Sizes are bytes.
"""

from rwm.model.audits import Acknowledgement, PartVerdict, Verdict
from rwm.model.entries import Change, Difference, Entry, EntryBatch
from rwm.model.freezes import Freeze, FrozenUser
from rwm.model.object_reader import ObjectReader
from rwm.model.operations import Deed, Operation, OperationChange, OwnChange
from rwm.model.prunes import PrunedState, PruneReport
from rwm.model.retentions import LOCK_MODES, LockableVersion, LockMode, Retention, RetentionChange
from rwm.model.states import (
    LAST_CLEAN,
    LATEST,
    MAX_LISTING,
    SHORT_ID,
    Origin,
    Outcome,
    RecordedState,
    StateInfo,
    StoredFile,
    Trust,
)
from rwm.model.storage_classes import ARCHIVE_CLASSES, ClassCount, ListedClasses, StorageClasses
from rwm.model.trees import StateTree, TreeNode, UploadOrder
from rwm.model.verification import Level, Verification
from rwm.model.versions import ObjectVersion, VersionBatch

__all__ = [
    "ARCHIVE_CLASSES",
    "LAST_CLEAN",
    "LATEST",
    "LOCK_MODES",
    "MAX_LISTING",
    "SHORT_ID",
    "Acknowledgement",
    "Change",
    "ClassCount",
    "Deed",
    "Difference",
    "Entry",
    "EntryBatch",
    "Freeze",
    "FrozenUser",
    "Level",
    "ListedClasses",
    "LockMode",
    "LockableVersion",
    "ObjectReader",
    "ObjectVersion",
    "Operation",
    "OperationChange",
    "Origin",
    "Outcome",
    "OwnChange",
    "PartVerdict",
    "PruneReport",
    "PrunedState",
    "RecordedState",
    "Retention",
    "RetentionChange",
    "StateInfo",
    "StateTree",
    "StorageClasses",
    "StoredFile",
    "TreeNode",
    "Trust",
    "UploadOrder",
    "Verdict",
    "Verification",
    "VersionBatch",
]
