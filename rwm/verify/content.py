"""Read the content of a state's versions, and compare its SHA-256 with their names."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from rwm.errors import AccessDenied, Archived, BadResponse, Cancelled, NotFound, RwmError, Unreachable
from rwm.index import Index, ListedVersion, ListedVersions
from rwm.model import Entry
from rwm.restic import expected_sha256, find_fault, is_pack
from rwm.s3 import S3
from rwm.verify.parallel import Outcome, map_in_threads
from rwm.verify.report import Kind, Problem, VerifyReport
from rwm.verify.rules import EVERYTHING, READING, Action, Sample, choose_action

CONNECTIONS = 8

MAX_DENIED_AT_START = 100
"""Denied versions, with no other answer before, after which the account is considered to lack the permission."""

_READINGS = 2
"""Wrong content is read once more before it is recorded: the fault may be on the way."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ContentRun:
    """How content is verified: which packs are read, whether results are ignored, and by how many connections."""

    sample: Sample = EVERYTHING
    again: bool = False
    connections: int = CONNECTIONS

    def selects(self, version: ListedVersion) -> bool:
        """Whether the version is to be read."""
        action = choose_action(version, again=self.again)
        return action in READING and (action is not Action.READ_PACK or version.entry in self.sample)


class Plan(NamedTuple):
    """How much has to be read."""

    objects: int
    bytes: int


@dataclass
class Unread:
    """What could not be read, by key; ``given_up`` says why no more was requested then, or is empty."""

    problems: dict[str, Problem] = field(default_factory=dict)
    given_up: str = ""


def plan_content(listed: ListedVersions, run: ContentRun) -> Plan:
    """Count what :func:`read_content` is going to read."""
    objects = size = 0
    for version in listed.read():
        if run.selects(version):
            objects += 1
            size += version.entry.size
    return Plan(objects, size)


def read_content(
    s3: S3,
    index: Index,
    listed: ListedVersions,
    report: VerifyReport,
    run: ContentRun,
    progress: Progress = lambda count, size: None,
) -> Unread:
    """Read what has to be read, and record each result in the index as it comes. Small files first, then packs.

    When the server does not answer any more, no more is requested. Raises AccessDenied if no version may be read, and
    errors of the index; results before that are recorded.
    """
    reading = _Reading(s3, index, report, run, progress)
    for packs in (False, True):
        reading.read(v.entry for v in listed.read() if is_pack(v.entry.key) is packs and run.selects(v))
    reading.raise_if_denied()
    return reading.unread


def report_content(listed: ListedVersions, report: VerifyReport, run: ContentRun, unread: Unread) -> None:
    """Count what is proved and report what is not, from all results in the index, old and new.

    Those of other processes count too.
    """
    for version in listed.read():
        entry, action = version.entry, choose_action(version)
        has_hash = expected_sha256(entry.key) is not None
        report.provable_bytes += entry.size if has_hash else 0
        if problem := unread.problems.get(entry.key):
            report.add(problem)
        elif has_hash and _is_open(version, report, run, unread):
            report.add(Problem("unchecked", entry.key, entry.version_id, unread.given_up or "no result was recorded"))
        elif action is Action.PROVED:
            report.proved += 1
            report.proved_bytes += entry.size
        elif action is Action.WRONG:
            report.add(Problem("wrong", entry.key, entry.version_id, version.content_fault or ""))
        elif action is Action.ARCHIVED:
            report.add(Problem("archived", entry.key, entry.version_id, version.storage_class or ""))
        elif action in (Action.READ_CONFIG, Action.UNPROVABLE):
            report.add(Problem("unproved", entry.key, entry.version_id))


def _is_open(version: ListedVersion, report: VerifyReport, run: ContentRun, unread: Unread) -> bool:
    """Whether a version was to be read, and has no result of this run."""
    if not run.selects(version):
        return False
    return version.checked_at is None or (bool(unread.given_up) and version.checked_at < report.started)


class _Reading:
    """Reads entries in threads; results are recorded and counted in the calling thread."""

    def __init__(self, s3: S3, index: Index, report: VerifyReport, run: ContentRun, progress: Progress) -> None:
        self._s3 = s3
        self._index = index
        self._report = report
        self._run = run
        self._progress = progress
        self._bucket = report.info.bucket
        self._stop = threading.Event()
        self._unanswered = 0  # consecutive versions without a usable answer
        self._denied: AccessDenied | None = None
        self.unread = Unread()

    def read(self, entries: Iterator[Entry]) -> None:
        """Read all entries, or those up to where it is of no use to go on."""
        try:
            for outcomes in map_in_threads(self._check, self._until_given_up(entries), self._run.connections):
                self._record(outcomes)
                for entry, fault, error in outcomes:
                    self._progress(1, entry.size)
                    if error is None:
                        self._take_result(entry, fault)
                    else:
                        self._take_error(entry, error)
        except BaseException:
            self._stop.set()
            raise

    def _until_given_up(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        return takewhile(lambda _: not self.unread.given_up, entries)

    def _record(self, outcomes: list[Outcome[Entry, str | None]]) -> None:
        results = [(one.item, one.result) for one in outcomes if one.error is None and expected_sha256(one.item.key)]
        if results:
            self._index.verifications.record_content(self._bucket, results, self._report.started, self._report.by)

    def _take_result(self, entry: Entry, fault: str | None) -> None:
        self._unanswered = 0
        self._report.checked += 1
        self._report.bytes += entry.size
        if fault is not None and expected_sha256(entry.key) is None:  # the index has the others
            self._note("wrong", entry, fault)

    def _take_error(self, entry: Entry, error: RwmError) -> None:
        self._unanswered = self._unanswered + 1 if isinstance(error, Unreachable) else 0
        if self._unanswered >= 2 * self._run.connections:
            self.unread.given_up = "the server did not answer any more"
        if isinstance(error, NotFound):  # it was there when the bucket was listed
            self._note("missing", entry)
        elif isinstance(error, Archived):
            self._note("archived", entry, "it must be retrieved first")
        else:
            self._note("unchecked", entry, error.why)
        if isinstance(error, AccessDenied):
            self._denied = error
            if not self._report.checked and len(self.unread.problems) >= MAX_DENIED_AT_START:
                self.unread.given_up = "this account may not read versions"

    def _note(self, kind: Kind, entry: Entry, why: str = "") -> None:
        self.unread.problems[entry.key] = Problem(kind, entry.key, entry.version_id, why)

    def raise_if_denied(self) -> None:
        """Raise AccessDenied if nothing could be read and nothing else is known."""
        if self._denied is not None and not self._report.checked and not self._report.faults:
            hint = "the account may not read versions by their id: use the admin's keys"
            raise AccessDenied(self._denied.message, hint=hint) from self._denied

    def _check(self, entry: Entry) -> str | None:
        """How the content of a version is wrong, None if it is right. Called in threads."""
        fault: str | None = None
        for reading in range(_READINGS):
            try:
                fault = self._s3.retry(lambda: self._read(entry), f"GetObject {self._bucket}/{entry.key}")
            except BadResponse:
                if reading == _READINGS - 1:
                    raise
            else:
                if fault is None:
                    break
        return fault

    def _read(self, entry: Entry) -> str | None:
        size, digest = 0, hashlib.sha256()
        for chunk in self._s3.stream(self._bucket, entry.key, entry.version_id):
            if self._stop.is_set():
                raise Cancelled(f"GetObject {self._bucket}/{entry.key}: the verification was stopped")
            size += len(chunk)
            if size > entry.size:
                break
            digest.update(chunk)
        return find_fault(entry.key, entry.size, size, digest.hexdigest())
