"""State files: the canonical form and its id, full and delta files, strict reading, files of the original tool. Pure.

May import the shared modules.
Begin reading at ``canonical.py``: the form, and the id that is its hash.
"""

from rwm.statefile.canonical import (
    INTEGER_LIMIT,
    FileName,
    StateDigest,
    canonical_form,
    canonical_pieces,
    delta_key,
    entry_json,
    entry_lines,
    entry_text,
    file_key,
    gzip_writer,
    identified_by_lines,
    line_text,
    parse_file_key,
)
from rwm.statefile.decompress import pieces
from rwm.statefile.delta import change_text, is_full_due, write_delta
from rwm.statefile.lines import Lines, check_canonical, number_in, text_in, time_in
from rwm.statefile.original import OriginalState, is_original_key
from rwm.statefile.reader import DeltaState, FullState, open_state_file

__all__ = [
    "INTEGER_LIMIT",
    "DeltaState",
    "FileName",
    "FullState",
    "Lines",
    "OriginalState",
    "StateDigest",
    "canonical_form",
    "canonical_pieces",
    "change_text",
    "check_canonical",
    "delta_key",
    "entry_json",
    "entry_lines",
    "entry_text",
    "file_key",
    "gzip_writer",
    "identified_by_lines",
    "is_full_due",
    "is_original_key",
    "line_text",
    "number_in",
    "open_state_file",
    "parse_file_key",
    "pieces",
    "text_in",
    "time_in",
    "write_delta",
]
