"""Users of a protected bucket, and what each of them may reach: the whole bucket, prefixes, or nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from rwm.errors import NotFound, Refused, UsageError
from rwm.location import parse_prefix

_NOT_LITERAL = "*?$:\\"
"""Characters that not every server takes literally in a policy: RGW refuses a colon, SeaweedFS a backslash."""

_ARN_PARTS = 6
"""Parts of an ARN, divided by colons: ``arn:aws:iam::account:user/name``."""


class Rights(NamedTuple):
    """Rights of a user, whatever it reaches. None: as they were, or as of a new user."""

    strict: bool | None = None
    """Whether it may delete only restic's locks."""
    version_reads: bool | None = None
    """Whether it may read noncurrent versions."""

    def on(self, user: str, prefixes: Iterable[str]) -> list[UserAccess]:
        """The accesses of a user with these rights."""
        return [UserAccess(user, prefix, False, bool(self.strict), bool(self.version_reads)) for prefix in prefixes]

    def over(self, former: Rights) -> Rights:
        """These rights, and the former ones where these are None."""
        return Rights(
            former.strict if self.strict is None else self.strict,
            former.version_reads if self.version_reads is None else self.version_reads,
        )


NO_RIGHTS = Rights()
"""Those that a user has already; of a new user none."""


class UserAccess(NamedTuple):
    """What a user may reach: the prefix, or the whole bucket if it is empty. Nothing if ``revoked``.

    ``user`` is a principal. A user of several prefixes has several of these, all with the same rights.
    """

    user: str
    prefix: str = ""
    revoked: bool = False
    strict: bool = False
    version_reads: bool = False

    def __str__(self) -> str:
        """The user and its reach, for people."""
        return f"{self.user} ({self.reach})"

    @property
    def reach(self) -> str:
        """The reach in words."""
        if self.revoked:
            return "revoked"
        rights = ", deletes only locks" * self.strict + ", reads noncurrent versions" * self.version_reads
        return (self.prefix or "whole bucket") + rights

    @property
    def rights(self) -> Rights:
        """What it may do where it reaches."""
        return Rights(self.strict, self.version_reads)

    def covers(self, prefix: str) -> bool:
        """Whether the user may reach everything below the prefix."""
        return not self.revoked and prefix.startswith(self.prefix)

    def reaches(self, prefix: str) -> bool:
        """Whether the user may reach anything below the prefix."""
        return not self.revoked and (prefix.startswith(self.prefix) or self.prefix.startswith(prefix))

    def overlaps(self, other: UserAccess) -> bool:
        """Whether both may reach the same keys."""
        return not other.revoked and self.reaches(other.prefix)


def parse_user(text: str) -> tuple[str, str | None]:
    """Read ``USER`` or ``USER:PREFIX``; the prefix is None if there is none. Raises UsageError.

    USER may be an ARN: its first five colons are its own.
    """
    name, colon, prefix = text.partition(":")
    if name == "arn":
        parts = text.split(":", _ARN_PARTS)
        name, colon, prefix = ":".join(parts[:_ARN_PARTS]), ":" * (len(parts) > _ARN_PARTS), "".join(parts[_ARN_PARTS:])
    if not name:
        raise UsageError(f"{text!r} names no user", hint="write USER or USER:PREFIX, as user1:host1/")
    if colon and not prefix:  # an empty variable of a script must not grant the whole bucket
        raise UsageError(f"{text!r} has no prefix after the colon", hint=f"write {name} for the whole bucket")
    return name, parse_granted_prefix(prefix) if colon else None


def parse_users(texts: Iterable[str]) -> list[tuple[str, str]]:
    """(user, prefix) of each, as :func:`parse_user`. Raises UsageError when two users would reach the same objects."""
    wanted = [(user, prefix or "") for user, prefix in map(parse_user, texts)]
    grant_all(wanted)
    return wanted


def parse_granted_prefix(text: str) -> str:
    """A prefix with its last slash that a policy can name literally. Raises UsageError."""
    if not text:
        raise UsageError("the prefix is empty", hint="leave it out for the whole bucket")
    prefix = parse_prefix(text)
    if bad := next((char for char in prefix if char in _NOT_LITERAL or not char.isprintable()), None):
        raise UsageError(f"the prefix {prefix!r} has the character {bad!r}, which policies do not take literally")
    return prefix


def single_prefix(prefixes: Iterable[str | None]) -> str | None:
    """The prefix that a command line gives in one or several places; None if it gives none. Raises UsageError."""
    given = sorted({prefix for prefix in prefixes if prefix is not None})
    if len(given) > 1:
        raise UsageError(f"two prefixes are given: {given[0]} and {given[1]}", hint="write the prefix once")
    return next(iter(given), None)


def overlaps(users: Iterable[UserAccess]) -> list[tuple[UserAccess, UserAccess]]:
    """The pairs of different users that may reach the same keys."""
    pairs = combinations(sorted(set(users)), 2)
    return [(one, other) for one, other in pairs if one.user != other.user and one.overlaps(other)]


def check_overlaps(users: Iterable[UserAccess]) -> None:
    """Raise UsageError if two users may reach the same keys."""
    for one, other in overlaps(users):
        raise UsageError(
            f"{one} and {other} would reach the same objects",
            hint="each user needs a prefix of its own",
        )


def grant(users: Iterable[UserAccess], user: str, prefix: str, rights: Rights = NO_RIGHTS) -> list[UserAccess]:
    """The users after ``user`` was granted a prefix beside those that it has. Raises UsageError for an overlap.

    A prefix inside another one of the same user is left out. The rights are those of all of its prefixes.
    """
    users = list(users)
    former = [access for access in users if access.user == user and not access.revoked]
    own = {access.prefix for access in former} | {prefix}
    outermost = [one for one in own if not any(one != other and one.startswith(other) for other in own)]
    now = rights.over(next((access.rights for access in former), NO_RIGHTS))
    after = [access for access in users if access.user != user] + now.on(user, outermost)
    check_overlaps(after)
    return sorted(after)


def grant_all(wanted: Iterable[tuple[str, str]], rights: Rights = NO_RIGHTS) -> list[UserAccess]:
    """The accesses of (user, prefix) pairs. Raises UsageError for an overlap."""
    accesses: list[UserAccess] = []
    for user, prefix in wanted:
        accesses = grant(accesses, user, prefix, rights)
    return accesses


def revoke(users: Iterable[UserAccess], user: str, prefix: str | None = None) -> list[UserAccess]:
    """The users after ``user`` lost one prefix, or everything; without any prefix left it is ``revoked``.

    Raises NotFound for an unknown user, Refused for a part of what was granted.
    """
    users = list(users)
    own = [access for access in users if access.user == user]
    if not own:
        names = ", ".join(sorted({access.user for access in users}))
        raise NotFound(f"the policy does not name {user}", hint=f"it names {names}" if names else "")
    rest = [] if prefix is None else [access for access in own if access.revoked or access.prefix != prefix]
    if part := next((access for access in rest if access.reaches(prefix or "")), None):
        raise Refused(f"{user} was not granted {prefix}, but: {part.reach}", hint="only a whole grant can be revoked")
    return sorted([access for access in users if access.user != user] + (rest or [UserAccess(user, revoked=True)]))


def describe_change(before: Sequence[UserAccess], after: Sequence[UserAccess]) -> list[str]:
    """One line for each access that goes or comes, for people."""
    gone = [f"- {access.user}: {access.reach}" for access in before if access not in after]
    return gone + [f"+ {access.user}: {access.reach}" for access in after if access not in before]
