"""Operation records: what RWM itself does to a bucket as its admin, recorded before it begins and when it has ended.

May import the shared modules, ``s3``, ``index``, ``statefile``.
Begin reading at ``record_file.py``: the format; ``log.py``: writing a record while an operation runs; ``stored.py``:
those in a bucket; ``trusted.py``: which of them count.
"""

from rwm.operations.log import OperationLog, begin_operation, new_operation, resume_operation
from rwm.operations.record_file import OperationRecord, open_record, parse_record_key, record_key, record_lines
from rwm.operations.stored import RecordFile, list_records, open_planned, open_stored, planned_digest
from rwm.operations.trusted import (
    LOCK_KINDS,
    trusted_changes,
    trusted_locks,
    trusted_objects,
    trusted_prunes,
    trusted_records,
)

__all__ = [
    "LOCK_KINDS",
    "OperationLog",
    "OperationRecord",
    "RecordFile",
    "begin_operation",
    "list_records",
    "new_operation",
    "open_planned",
    "open_record",
    "open_stored",
    "parse_record_key",
    "planned_digest",
    "record_key",
    "record_lines",
    "resume_operation",
    "trusted_changes",
    "trusted_locks",
    "trusted_objects",
    "trusted_prunes",
    "trusted_records",
]
