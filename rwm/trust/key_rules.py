"""The rules that judge one key by its history and by the locks. One function for each rule, with its reason. Pure.

Each yields a finding for every entry that breaks the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rwm.model import ObjectVersion
from rwm.times import SECOND
from rwm.trust.evidence import SLACK, LockHistory
from rwm.trust.finding import Finding, Rule
from rwm.trust.intervals import FOREVER
from rwm.trust.key_grouping import MAX_ENTRIES, LongHistory
from rwm.trust.key_history import KeyHistory, describe_gap
from rwm.trust.names import CONTENT_ADDRESSED, Kind

RETRY = 15 * 60 * SECOND
"""How long after a write restic may repeat it: it retries a failed request for 15 minutes (0.14 to 0.18)."""

CRYPTO_OVERHEAD = 32
"""Bytes that restic's encryption adds to every file but key files: a shorter one is none (restic's design document)."""

CONFIG_SIZE = 155
"""Bytes of ``config``, written by restic 0.14 to 0.18 for repository versions 1 and 2."""

MAX_PACK_SIZE = 160 << 20
"""Bytes of the largest pack: ``--pack-size`` is at most 128 MiB, to which the last blob and the header are added."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


KeyRule = Callable[[KeyHistory, LockHistory], Iterator[Finding]]

UNLOCKED_REMOVAL = Rule(
    "unlocked-removal",
    "proof",
    "a file of the repository was removed while no restic held a lock",
    "restic removes files only between writing its lock and removing it",
)


LATE_REMOVAL = Rule(
    "late-removal",
    "hint",
    "a file of the repository was removed within five minutes after a lock was written, but not under it",
    "`restic unlock --remove-all` may have taken the lock away from an operation that went on",
)
STALE_LOCK_REMOVAL = Rule(
    "stale-lock-removal",
    "hint",
    "a file of the repository was removed under a lock that had not been renewed for half an hour",
    "restic renews its lock every five minutes, unless the computer sleeps meanwhile",
)


def unlocked_removal(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A removal outside of every lock."""
    if history.kind in (Kind.LOCKS, Kind.FOREIGN, Kind.OTHER):
        return
    for number, marker in history.removals():
        at = marker.last_modified
        state = locks.state(at)
        if state == "recent" and history.kind is not Kind.SNAPSHOTS and locks.is_after_backups(at):
            state = "none"
        if state == "none":
            yield history.removal_finding(UNLOCKED_REMOVAL, number, "removed while no restic held a lock")
        elif state == "recent":
            yield history.removal_finding(LATE_REMOVAL, number, "removed shortly after a lock had ended")
        elif locks.is_stale(at):
            yield history.removal_finding(STALE_LOCK_REMOVAL, number, "removed under a lock that nobody renewed")


REMOVED_CONFIG = Rule(
    "removed-config", "proof", "config was removed", "no command of restic removes it: nothing can be read without it"
)


def removed_config(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A removal of ``config``, also within a lock."""
    if history.kind is Kind.CONFIG:
        for number, _ in history.removals():
            yield history.removal_finding(REMOVED_CONFIG, number, "config was removed")


OTHER_CONTENT = Rule(
    "other-content",
    "proof",
    "a file whose name is the hash of its content was written again with other content",
    "restic writes each name once; a repeated upload has the same content",
)
WRITTEN_TWICE = Rule(
    "written-twice",
    "hint",
    "a file whose name is the hash of its content was written again, with what may be the same content",
    "restic writes each name once; it repeats an upload that failed within minutes, not later",
)
REPEATED_UPLOAD = Rule(
    "repeated-upload",
    "hint",
    "a file was written again within minutes, with the same size and ETag",
    "an upload is repeated if its answer was lost; on some servers a copy with an attacker's key (SSE-C) looks so too",
)


def written_again(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A second version of a name that restic writes once. The first one is the genuine one."""
    if history.kind not in CONTENT_ADDRESSED or len(history.written) < 2:
        return
    _, first = history.written[0]
    for number, version in history.written[1:]:
        difference = provable_difference(first, version)
        if difference and not (first.size == version.size and _is_retry_time(first, version)):
            yield history.finding(OTHER_CONTENT, number, difference)
        else:
            yield _repetition(history, number, first)


def _repetition(history: KeyHistory, number: int, first: ObjectVersion) -> Finding:
    """A finding about a version with what may be the content of the first one. Of a retry it is in no state."""
    version = history.entries[number]
    detail = f"written again, {describe_gap(version.last_modified - first.last_modified)} after the first time"
    if not _is_retry(first, version):
        return history.finding(WRITTEN_TWICE, number, detail)
    return history.finding(REPEATED_UPLOAD, number, detail)._replace(start=FOREVER, end=0)


def provable_difference(first: ObjectVersion, later: ObjectVersion) -> str:
    """What proves that two versions differ, or "". An ETag proves something only if it is an MD5 sum."""
    if first.size != later.size:
        return f"written again with {later.size} bytes instead of {first.size}"
    both_md5 = _MD5.fullmatch(first.etag) and _MD5.fullmatch(later.etag)
    return "written again with another MD5 sum" if both_md5 and first.etag != later.etag else ""


def _is_retry_time(first: ObjectVersion, later: ObjectVersion) -> bool:
    """Whether an upload may have been repeated so soon. With SSE-KMS on AWS that gives another ETag."""
    return later.last_modified - first.last_modified <= RETRY


def _is_retry(first: ObjectVersion, later: ObjectVersion) -> bool:
    """Whether it is what an upload that was repeated leaves."""
    return first.etag == later.etag and _is_retry_time(first, later)


REWRITTEN_CONFIG = Rule(
    "rewritten-config",
    "proof",
    "config was written again as restic does not do it",
    "only `restic migrate upgrade_repo_v2` writes it again: once, within a lock, with the same size",
)
MIGRATED_CONFIG = Rule(
    "migrated-config",
    "hint",
    "config was written again within a lock, with the same size",
    "`restic migrate upgrade_repo_v2` does it once in the life of a repository; an attacker can do the same",
)
CHANGED_CONFIG = Rule(
    "changed-config",
    "hint",
    "config was written again before the oldest lock that is left, or in a repository without locks",
    "rustic, which has no locks, writes it when an option of the repository is changed",
)


def rewritten_config(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A second version of ``config`` that no migration has written."""
    if history.kind is not Kind.CONFIG or not history.written:
        return
    (_, genuine), *later = history.written
    may_migrate = True
    for number, version in later:
        if (version.size, version.etag) == (genuine.size, genuine.etag):
            yield _repetition(history, number, genuine)
        elif locks.state(version.last_modified) == "unknown":
            yield history.finding(CHANGED_CONFIG, number, "written again")
        elif why := _why_no_migration(genuine, version, locks, may_migrate=may_migrate):
            yield history.finding(REWRITTEN_CONFIG, number, why)
        else:
            yield history.finding(MIGRATED_CONFIG, number, "written again as by a migration")
            genuine, may_migrate = version, False


def _why_no_migration(genuine: ObjectVersion, version: ObjectVersion, locks: LockHistory, *, may_migrate: bool) -> str:
    """Why ``config`` was not migrated by this version, or ""."""
    if version.size != genuine.size:
        return f"written again with {version.size} bytes instead of {genuine.size}"
    if locks.state(version.last_modified) == "none":
        return "written again while no restic held a lock"
    return "" if may_migrate else "written again once more: restic migrates a repository once"


FOREIGN_NAME = Rule(
    "foreign-name",
    "proof",
    "a directory of the repository has a file under a name that restic never gives",
    "restic names files by 64 hexadecimal digits, in data/ below their first two",
)


def foreign_name(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A file among restic's own that is not restic's."""
    if history.kind is Kind.FOREIGN:
        for number, _ in history.written:
            yield history.finding(FOREIGN_NAME, number, "restic gives no such name")


IMPOSSIBLE_CONTENT = Rule(
    "impossible-content",
    "proof",
    "an empty file whose name is not the hash of nothing",
    "restic names files by the SHA-256 of their content",
)


def impossible_content(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A first version whose size contradicts its name; later ones are of :func:`written_again`."""
    if history.kind not in CONTENT_ADDRESSED or not history.written:
        return
    number, first = history.written[0]
    if first.size == 0 and not history.key.endswith(_EMPTY_SHA256):
        yield history.finding(IMPOSSIBLE_CONTENT, number, "empty under this name")


NULL_VERSION = Rule(
    "null-version",
    "proof",
    "a version was written while versioning was suspended",
    "the bucket had versioning already; a version that is written without it can be overwritten unseen",
)


def null_version(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A version or marker with the id ``null`` that is newer than one with an id of its own."""
    if history.kind is Kind.OTHER:
        return
    for number, entry in enumerate(history.entries):
        if entry.version_id == "null" and any(_is_versioned_before(entry, other) for other in history.entries):
            yield history.finding(NULL_VERSION, number, "written without versioning")


def _is_versioned_before(null: ObjectVersion, other: ObjectVersion) -> bool:
    """By time, because SeaweedFS lists the null version last of its key."""
    return other.version_id != "null" and other.last_modified + SLACK < null.last_modified


UNCOMMON_SIZE = Rule(
    "uncommon-size",
    "hint",
    "a file has a size that restic does not give to its kind",
    f"config has {CONFIG_SIZE} bytes, every encrypted file at least {CRYPTO_OVERHEAD}, a pack little over 128 MiB",
)


def uncommon_size(history: KeyHistory, locks: LockHistory) -> Iterator[Finding]:
    """A first version of an odd size."""
    if history.kind in (Kind.FOREIGN, Kind.OTHER, Kind.LOCKS) or not history.written:
        return
    number, first = history.written[0]
    if history.kind is Kind.CONFIG:
        is_odd = first.size != CONFIG_SIZE
    else:
        is_odd = 0 < first.size < CRYPTO_OVERHEAD or (history.kind is Kind.DATA and first.size > MAX_PACK_SIZE)
    if is_odd:
        yield history.finding(UNCOMMON_SIZE, number, f"{first.size} bytes")


LONG_HISTORY = Rule(
    "long-history",
    "hint",
    f"a key has more than {MAX_ENTRIES} versions and delete markers",
    "restic writes and removes a name once; of so many, those in the middle are judged by their content alone",
)


def long_history(root: str, history: LongHistory) -> Finding:
    """What was left out of the history of one key."""
    start, end = history.omitted_from, history.omitted_until + SECOND
    newest, detail = history[0], f"{history.omitted} versions and markers of it were not judged one by one"
    return Finding(LONG_HISTORY, root, newest.key, newest.version_id, newest.last_modified, detail, start, end)


_ALL = frozenset(Kind) - {Kind.OTHER}
_REMOVABLE = _ALL - {Kind.LOCKS, Kind.FOREIGN}
_SINGLE: tuple[tuple[KeyRule, frozenset[Kind]], ...] = (
    (foreign_name, frozenset({Kind.FOREIGN})),
    (impossible_content, CONTENT_ADDRESSED),
    (uncommon_size, CONTENT_ADDRESSED | {Kind.CONFIG}),
)
_REPEATED: tuple[tuple[KeyRule, frozenset[Kind]], ...] = (
    (unlocked_removal, _REMOVABLE),
    (removed_config, frozenset({Kind.CONFIG})),
    (written_again, CONTENT_ADDRESSED),
    (rewritten_config, frozenset({Kind.CONFIG})),
    *_SINGLE,
    (null_version, _ALL),
)
KEY_RULES = tuple(rule for rule, _ in _REPEATED)
"""All of them: what cannot break a rule is not in question for it."""

_BREAKABLE = {
    is_single: {kind: tuple(rule for rule, kinds in rules if kind in kinds) for kind in Kind}
    for is_single, rules in ((True, _SINGLE), (False, _REPEATED))
}


def rules_for(history: KeyHistory) -> tuple[KeyRule, ...]:
    """The rules that a key of this kind can break, with one entry or with several."""
    return _BREAKABLE[len(history.entries) == 1][history.kind]


def is_unremarkable(version: ObjectVersion) -> bool:
    """Whether a file with a hash as its name and this only entry breaks no rule: almost every key of a repository."""
    return not version.is_marker and version.version_id != "null" and CRYPTO_OVERHEAD <= version.size <= MAX_PACK_SIZE
