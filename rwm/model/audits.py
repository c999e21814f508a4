"""What an audit says of a state, and what a person has acknowledged of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["clean", "review", "suspect"]
"""What an audit says of a state: nothing found, an open hint is in it, or a consequence of a proof is in it."""


class PartVerdict(NamedTuple):
    """The verdict of an audit on what a state has below a prefix. ``audited_at`` in milliseconds."""

    prefix: str
    verdict: Verdict
    audited_at: int


class Acknowledgement(NamedTuple):
    """That a person has judged findings of an audit up to the time ``until``. ``at`` is when; in milliseconds.

    ``what`` is the id of a finding or the code of a rule.
    """

    what: str
    until: int
    at: int
    note: str
