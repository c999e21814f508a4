"""The rule that compares restic's time of a snapshot, which the machine chooses, with the server's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rwm.model import Entry
from rwm.times import SECOND
from rwm.trust.finding import IN_NO_STATE, Finding, Rule
from rwm.trust.key_history import describe_gap

LARGE_DIFFERENCE = 3600 * SECOND

SNAPSHOT_TIME = Rule(
    "snapshot-time",
    "hint",
    "restic's time of a snapshot and that of its upload differ by more than an hour (`rwm audit --snapshots`)",
    "the machine chooses restic's time; a backup of more than an hour, `copy` and `--time` differ too",
)


def judge_snapshot_time(root: str, entry: Entry, time: int) -> Iterator[Finding]:
    """The finding about a snapshot file of the repository at ``root``; ``time`` is restic's, in milliseconds."""
    difference = time - entry.last_modified
    if abs(difference) > LARGE_DIFFERENCE:
        detail = (
            f"restic's time is {describe_gap(abs(difference))} {'after' if difference > 0 else 'before'} the upload"
        )
        yield _finding(root, entry, detail)


def snapshot_finding_id(root: str, entry: Entry) -> str:
    """The id of the finding about a snapshot file, whether there is one or not: it does not depend on restic's time."""
    return _finding(root, entry, "").id


def _finding(root: str, entry: Entry, detail: str) -> Finding:
    return Finding(SNAPSHOT_TIME, root, entry.key, entry.version_id, entry.last_modified, detail, *IN_NO_STATE)
