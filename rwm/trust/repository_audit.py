"""The audit of one repository: applies every rule to its keys, in the order in which they are listed. Pure.

First all of ``locks/`` and ``snapshots/``, then ``config``, ``keys/`` and ``index/``, and ``data/`` last: what the
rules need to know of the whole repository is complete when they judge a pack. Memory grows with locks, indexes and
snapshots (some bytes each, up to a limit), with hours of activity and with listed findings, not with packs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.trust import hint_rules, repository_rules
from rwm.trust.activity import Activity
from rwm.trust.evidence import SLACK, LockHistory
from rwm.trust.finding import Finding, FindingLog
from rwm.trust.hint_rules import Lives
from rwm.trust.intervals import FOREVER, Intervals
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.key_grouping import LongHistory
from rwm.trust.key_history import KeyHistory
from rwm.trust.key_rules import is_unremarkable, long_history, rules_for, unlocked_removal
from rwm.trust.names import CONTENT_ADDRESSED, Kind, kind_of
from rwm.trust.own_changes import OwnChanges
from rwm.trust.repository_rules import Inventory, Removals

PACKS = "data/"
PHASES = ("locks/", "snapshots/", "", "keys/", "index/", PACKS)
"""Directories in the order in which they are to be observed; the empty one is the root alone."""


_LISTED_ONCE = (Kind.KEYS, Kind.INDEX, Kind.SNAPSHOTS)


OWN_HINTS = (hint_rules.BEYOND_RETENTION, hint_rules.LARGE_BACKUP, hint_rules.SHRUNK, hint_rules.SNAPSHOT_BURST)
"""Hints that many changes at once give rise to, whoever made them."""


class Written(NamedTuple):
    """Snapshots that were written, and bytes of packs."""

    snapshots: int
    bytes: int


class RepositoryAudit:
    """Observes the keys of the repository at ``root`` (its prefix), then yields findings to ``log``.

    ``now`` is the server's time in milliseconds; ``policy`` is the retention that is configured for its snapshots.
    ``own`` is what RWM itself did; ``captured`` are the times of captures of the repository.
    """

    def __init__(
        self,
        root: str,
        log: FindingLog,
        now: int,
        policy: KeepPolicy | None = None,
        own: OwnChanges | None = None,
        captured: Sequence[Intervals] = (),
    ) -> None:
        self.root = root
        self.log = log
        self.locks = LockHistory(captured)
        self.keys = Inventory()
        self.indexes = Inventory()
        self.snapshots = Inventory()
        self.locks.snapshots = self.snapshots.written
        self.versions = 0
        self._now = now
        self._policy = policy or KeepPolicy({})
        self._own = own or OwnChanges()
        self._own_times = Intervals()
        self._lives = Lives()
        self.activity = Activity(self.locks, now)
        self._removed_indexes = Removals()
        self._first_versioned = FOREVER
        self._last_null: ObjectVersion | None = None

    def observe(self, histories: Iterable[Sequence[ObjectVersion]]) -> None:
        """Judge keys below the root, each with all its entries, newest first; the phases in order."""
        start, write_pack = len(self.root), self.activity.write_pack
        for entries in histories:
            self.versions += len(entries)
            if self._own:
                entries = self._own.as_it_was(entries)
            newest = entries[0]
            kind = kind_of(newest.key[start:])
            if kind is Kind.DATA and len(entries) == 1 and is_unremarkable(newest):
                write_pack(newest.last_modified, newest.size)
            elif len(entries) == 1 and kind in _LISTED_ONCE and not self._own and is_unremarkable(newest):
                self._observe_unremarkable(kind, newest)
            elif len(entries) == 2 and kind in CONTENT_ADDRESSED and _is_one_removal(*entries):
                self._observe_removed(KeyHistory(self.root, kind, entries[::-1]))
            elif kind is not Kind.OTHER:
                if isinstance(entries, LongHistory):
                    self.versions += entries.omitted
                    self.log.add(long_history(self.root, entries))
                self._observe(KeyHistory(self.root, kind, entries[::-1]))

    def _observe_unremarkable(self, kind: Kind, version: ObjectVersion) -> None:
        """Note a file that is no pack, was written once, and breaks no rule."""
        time = version.last_modified
        if time < self._first_versioned:
            self._first_versioned = time
        self.activity.write_file(time, version.size)
        if kind is Kind.SNAPSHOTS:
            self.snapshots.add_written(time)
            self._lives.add_written(time)
        else:
            (self.keys if kind is Kind.KEYS else self.indexes).add_written(time)

    def _observe_removed(self, history: KeyHistory) -> None:
        """Judge a file that was written once and removed once: by the rules that a removal may break."""
        version, marker = history.entries
        found = list(unlocked_removal(history, self.locks))
        if history.kind is Kind.DATA:
            self.activity.write_pack(version.last_modified, version.size)
            self.activity.remove_pack(marker.last_modified, version.size)
            found += repository_rules.pack_before_index(history, self.locks, self.indexes, self.snapshots)
        else:
            self._first_versioned = min(self._first_versioned, version.last_modified)
            self.activity.write_file(version.last_modified, version.size)
            self.activity.remove_file(marker.last_modified, version.size)
            self._note_file(history)
        self._log_key(history, found)

    def _observe(self, history: KeyHistory) -> None:
        """Judge a key by all rules that it can break, and note what it did."""
        self._note_versioning(history.entries)
        if history.kind is Kind.LOCKS:
            self.locks.add(history.entries)
        found = [finding for rule in rules_for(history) for finding in rule(history, self.locks)]
        if history.kind is Kind.DATA:
            self.activity.add_pack(history)
            if len(history.entries) > 1:
                found += repository_rules.pack_before_index(history, self.locks, self.indexes, self.snapshots)
        elif history.kind is not Kind.LOCKS:
            self.activity.add_file(history)
        self._note_file(history)
        self._log_key(history, found)

    def _note_file(self, history: KeyHistory) -> None:
        """Note when a key file, an index or a snapshot was there."""
        if history.kind is Kind.KEYS:
            self.keys.add(history)
        elif history.kind is Kind.INDEX:
            self.indexes.add(history)
            self._removed_indexes.add(history)
        elif history.kind is Kind.SNAPSHOTS:
            self.snapshots.add(history)
            self._lives.add(history)

    def _log_key(self, history: KeyHistory, findings: Iterable[Finding]) -> None:
        """Log the findings about a key, but for what RWM itself did."""
        if not self._own:
            for finding in findings:
                self.log.add(finding)
            return
        for finding in self._own.unexplained(findings, history.entries):
            self.log.add(finding)
        for entry in history.entries:
            if self._own.is_own(history.key, entry.version_id):
                self._own_times.add(entry.last_modified, entry.last_modified)

    def _note_versioning(self, entries: Sequence[ObjectVersion]) -> None:
        for entry in entries:
            if entry.version_id != "null":
                self._first_versioned = min(self._first_versioned, entry.last_modified)
            elif self._last_null is None or entry.last_modified > self._last_null.last_modified:
                self._last_null = entry

    def finish(self) -> None:
        """Judge what needs all keys."""
        self._log(repository_rules.all_keys_removed(self.root, self.locks, self.keys))
        self._log(
            repository_rules.last_index_removed(
                self.root, self._removed_indexes, self.locks, self.indexes, self.snapshots
            )
        )
        self._removed_indexes = Removals()
        inventories = {"keys": self.keys, "index": self.indexes, "snapshots": self.snapshots}
        self._log(repository_rules.flooded(self.root, self.locks, inventories))
        self._log(repository_rules.doubtful_locks(self.root, self.locks))
        self._log(self._suspended())
        self._log(hint_rules.large_backup(self.root, self.activity))
        self._log(hint_rules.snapshot_burst(self.root, self.snapshots.written))
        self._log(hint_rules.shrunk(self.root, self.activity))
        self._log(hint_rules.snapshots_shrunk(self.root, self.snapshots))
        self._log(hint_rules.no_snapshot_left(self.root, self.snapshots))
        self._log(hint_rules.beyond_retention(self.root, self._lives, self.locks, self._policy))
        self._log(hint_rules.no_recent_backup(self.root, self.snapshots.written, self._now))

    def written_since(self, time: int) -> Written:
        """What was written from a time on, in milliseconds; packs by whole lock sessions, or by hours without locks."""
        return Written(self.snapshots.written.count_in(time, FOREVER), self.activity.written_since(time))

    def _suspended(self) -> Iterator[Finding]:
        null = self._last_null
        if null is not None and null.last_modified > self._first_versioned + SLACK:
            yield Finding(
                repository_rules.VERSIONING_SUSPENDED,
                self.root,
                null.key,
                null.version_id,
                null.last_modified,
                "written without versioning, which the bucket had had before",
                null.last_modified,
            )

    def _log(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if not self._is_own(finding):
                self.log.add(finding)

    def _is_own(self, finding: Finding) -> bool:
        """Whether a finding about the repository comes from what RWM itself did."""
        if finding.version_id:
            return self._own.is_own(finding.key, finding.version_id)
        return finding.rule in OWN_HINTS and finding.at in self._own_times


def _is_one_removal(newest: ObjectVersion, version: ObjectVersion) -> bool:
    return newest.is_marker and newest.version_id != "null" and is_unremarkable(version)
