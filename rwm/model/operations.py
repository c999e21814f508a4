"""Operations of RWM on a bucket, and each change that they make."""

from __future__ import annotations

from typing import Literal, NamedTuple

from rwm.location import Location

Deed = Literal["copied", "marked", "unmarked", "deleted", "locked", "left"]
"""What was done to a key: a version was written as a copy of another one, a delete marker was put, a delete marker was
removed, a version was removed, the versions of a state were locked; ``left``: a version was to be
removed, and was not.
"""


class Operation(NamedTuple):
    """An operation of the admin: ``kind`` is a short word such as ``prune``, ``at`` the server's time of its start.

    ``account`` is the server's id of the account that ran it. ``ended_at`` is None until it has ended.
    """

    id: str
    kind: str
    location: Location
    at: int
    account: str
    note: str = ""
    ended_at: int | None = None


class OperationChange(NamedTuple):
    """One change of a key. In the record of a begin, ``version_id`` of what is to be written is empty.

    ``version_id`` is of the copy, the delete marker, or what was removed. ``source`` is the version that was copied,
    ``before`` what was current before the change (empty: nothing was), ``at`` the time of what was removed. ``size`` in
    bytes and ``storage_class`` (empty: STANDARD) are of the version that was copied or removed.

    Of a state that was locked, ``key`` is that of its file; each of its versions is locked at least until ``at`` (0: it
    is not known of all), and none that RWM locked because of the state for longer than ``until``.
    """

    did: Deed
    key: str
    version_id: str
    source: str = ""
    before: str = ""
    at: int = 0
    why: str = ""
    size: int = 0
    storage_class: str = ""
    until: int = 0


class OwnChange(NamedTuple):
    """A change that RWM surely made itself, and the time of the start of its operation."""

    operation_at: int
    change: OperationChange
