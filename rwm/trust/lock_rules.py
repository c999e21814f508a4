"""The rules about Object Lock: retentions that RWM did not set, or that are not as it set them. Pure.

Only a sample of the versions is judged, because the server must be asked about each. The sample is the same in every
audit while nothing is written, so acknowledgements of its findings stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rwm.model import ObjectVersion, Retention
from rwm.times import DAY, iso
from rwm.trust.finding import IN_NO_STATE, Finding, Rule

LONGEST_OWN = 500 * DAY
"""How far ahead a lock may end that another computer's `rwm lock` may have set: 400 days, and a step."""

_SLACK = DAY

FOREIGN_LOCK = Rule(
    "foreign-lock",
    "hint",
    "a version is locked for longer than RWM and the bucket's default retention have it locked",
    "where the server lets a machine lock what it writes, stolen keys fill the bucket with what nobody can delete; "
    "another computer's `rwm lock`, or a default that was longer once, does it too",
)

SHORTENED_LOCK = Rule(
    "shortened-lock",
    "hint",
    "a version is locked for a shorter time than RWM has set, or not at all",
    "only an account that may bypass governance can shorten a lock, and RWM never does: whoever did it prepared to "
    "delete the version; `rwm lock --again` sets it anew",
)


class OwnLock(NamedTuple):
    """What RWM's records say of the lock of a version: it lasts at least and at most until then; 0: they say nothing.

    In milliseconds.
    """

    at_least: int = 0
    at_most: int = 0


class SampledLock(NamedTuple):
    """The retention that a version of the sample has on the server, and what RWM has recorded of it."""

    version: ObjectVersion
    found: Retention | None
    recorded: OwnLock


def judge_locks(
    root: str, locks: Iterable[SampledLock], default: int, now: int, *, is_recorded: bool
) -> Iterator[Finding]:
    """Findings about a sample of the repository at ``root``; ``default`` is the bucket's retention in milliseconds.

    ``is_recorded``: this computer has set locks in the bucket, so its records are those of all. Otherwise another one
    may have done it. A lock that has ended is none.
    """
    own = 0 if is_recorded else now + LONGEST_OWN
    for version, found, recorded in locks:
        expected = max(version.last_modified + default, recorded.at_most, own) + _SLACK
        until = 0 if found is None else found.until
        if found is not None and until > max(expected, now):
            yield _finding(FOREIGN_LOCK, root, version, f"locked until {iso(until)} in {found.mode} mode")
        elif max(until, now) < recorded.at_least - _SLACK:
            yield _finding(SHORTENED_LOCK, root, version, f"RWM has locked it until {iso(recorded.at_least)}")


def _finding(rule: Rule, root: str, version: ObjectVersion, detail: str) -> Finding:
    return Finding(rule, root, version.key, version.version_id, version.last_modified, detail, *IN_NO_STATE)
