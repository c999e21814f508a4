"""The rules that judge RWM's own state files by their histories. Pure.

RWM writes each file once, after its state was captured, and removes none. The machine's account may write there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rwm.model import ObjectVersion
from rwm.statefile import parse_file_key
from rwm.times import iso
from rwm.trust.captures import CLOCKS
from rwm.trust.finding import IN_NO_STATE, Finding, Rule
from rwm.trust.key_rules import provable_difference

REMOVED_STATE_FILE = Rule(
    "removed-state-file", "proof", "a state file was removed", "RWM writes state files and removes none"
)
OVERWRITTEN_STATE_FILE = Rule(
    "overwritten-state-file",
    "hint",
    "a state file was written again with other bytes",
    "the first version counts; two computers that capture in the same second may write one state in two ways",
)
FORGED_STATE_FILE = Rule(
    "forged-state-file",
    "hint",
    "a state file was written before the time of its state",
    "RWM writes the file after the capture, unless the server's clock was set back meanwhile",
)


def judge_state_file(entries: Sequence[ObjectVersion]) -> Iterator[Finding]:
    """Findings about one key below ``rwm/states/``; ``entries`` come oldest first. No state contains them."""
    name = parse_file_key(entries[0].key)
    written = [entry for entry in entries if not entry.is_marker]
    if name is None or not written:
        return
    for before, entry in pairwise(entries):
        if entry.is_marker and not before.is_marker:
            yield _finding(REMOVED_STATE_FILE, name.prefix, entry, "removed")
    for later in written[1:]:
        if difference := provable_difference(written[0], later):
            yield _finding(OVERWRITTEN_STATE_FILE, name.prefix, later, difference)
    if written[0].last_modified + CLOCKS < name.captured_at:
        detail = f"written at {iso(written[0].last_modified)}, before the time of its state"
        yield _finding(FORGED_STATE_FILE, name.prefix, written[0], detail)


def _finding(rule: Rule, root: str, entry: ObjectVersion, detail: str) -> Finding:
    return Finding(rule, root, entry.key, entry.version_id, entry.last_modified, detail, *IN_NO_STATE)
