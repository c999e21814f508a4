"""State files: the canonical form and its id, full and delta files, strict reading, files of the original tool. Pure.

May import the shared words.
Begin reading at ``canonical.py``: the form, and the id that is its hash.
"""

from rwm.statefile.canonical import (
    NUMBERS,
    PREFIX,
    FileName,
    canonical_form,
    compressed,
    delta_key,
    encoded,
    entry_json,
    entry_text,
    file_key,
    header_text,
    identified_by_lines,
    parse_file_key,
)
from rwm.statefile.delta import change_text, changes, full_is_due, write_delta
from rwm.statefile.original import OriginalState, is_original_key
from rwm.statefile.reader import DeltaState, FullState, open_any

__all__ = [
    "NUMBERS",
    "PREFIX",
    "DeltaState",
    "FileName",
    "FullState",
    "OriginalState",
    "canonical_form",
    "change_text",
    "changes",
    "compressed",
    "delta_key",
    "encoded",
    "entry_json",
    "entry_text",
    "file_key",
    "full_is_due",
    "header_text",
    "identified_by_lines",
    "is_original_key",
    "open_any",
    "parse_file_key",
    "write_delta",
]
