"""Adopt: a bucket with repositories in it becomes a protected one, without moving a byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from rwm.errors import AccessDenied, CheckFailed, NotFound, Refused
from rwm.index import Index
from rwm.layout import CONFIG_FILE, REPOSITORY_DIRECTORIES
from rwm.location import Location
from rwm.operations import begin_operation, new_operation
from rwm.phrases import name_some
from rwm.repositories import inside_repository
from rwm.s3 import S3, Policy
from rwm.s3.listing import discover, enclosing_repository
from rwm.storage.accounts import check_accounts
from rwm.storage.bucket_lock import read_lock
from rwm.storage.change import differing_statements
from rwm.storage.check import check_storage
from rwm.storage.features import CONDITIONS, missing_features
from rwm.storage.fix import FixStep, apply_fix, check_not_frozen, name_statement, own_acl, plan_repair
from rwm.storage.grants import same_policy
from rwm.storage.info import versioning_state
from rwm.storage.past import Past, read_past
from rwm.storage.pin import Pinned, pin_small, writer
from rwm.storage.policy import protected_policy
from rwm.storage.policy_probe import find_admin_principal, obeys_conditions, remove_probe
from rwm.storage.policy_users import policy_users
from rwm.storage.policy_write import replace_policy
from rwm.storage.principals import admin_principal, candidate_principals, principal_accesses
from rwm.storage.users import Rights, UserAccess, parse_users

KIND = "adopt"
"""The kind of the operation in records."""

Progress = Callable[[int], None]
Wanted = Sequence[tuple[str, str]]
"""Users and their prefixes."""


class AdoptionPlan(NamedTuple):
    """What an adoption will do."""

    bucket: str
    users: list[UserAccess]
    owners: dict[str, str]
    """To whom each repository's ``config`` belongs, by its prefix: on Ceph RGW its writer. Empty if it is not told."""
    steps: list[FixStep]
    past: Past
    notes: list[str]


def plan_adoption(
    s3: S3,
    bucket: str,
    users: Sequence[str],
    rights: Rights,
    limit: int,
    progress: Progress = lambda count: None,
    warn: Callable[[str], None] = lambda text: None,
) -> AdoptionPlan:
    """What makes the bucket a protected one for these users (``USER`` or ``USER:PREFIX``).

    Changes nothing, but the probe of an interrupted run is removed. Objects up to ``limit`` bytes can be pinned.
    ``warn`` is called while the plan is applied. Raises NotFound for an unknown bucket; UsageError where two users
    would reach the same objects, or a prefix is a directory of a repository; Refused for a bucket of another account, a
    frozen one, a protected one with other users, and an account that the server does not have.
    """
    wanted = parse_users(users)
    _check_bucket(s3, bucket)
    own_acl(s3, bucket)
    remove_probe(s3, bucket)
    change = _PolicyReplacement(s3, bucket, _likely_admin(s3, bucket), wanted, rights, warn)
    accesses = change.accesses
    check_accounts(s3, bucket, [access.user for access in accesses])
    steps = plan_repair(s3, bucket, change.plan)
    _check_places(s3, bucket, wanted)
    roots = sorted(discover(s3, Location(bucket)).repositories)
    past = read_past(s3, bucket, versioning_state(s3, bucket), limit, progress)
    missing = missing_features(s3, Location(bucket), read_lock(s3, bucket))
    notes = _notes(roots, accesses) + [each.consequence for each in missing]
    owners = {root: writer(s3, bucket, root + CONFIG_FILE) for root in roots}
    return AdoptionPlan(bucket, accesses, owners, steps, past, notes)


class _PolicyReplacement:
    """The policy of a protected bucket for the wanted users, in place of the one that is there.

    ``admin`` is likely; the principal that is written is proved first.
    """

    def __init__(
        self, s3: S3, bucket: str, admin: str, wanted: Wanted, rights: Rights, warn: Callable[[str], None]
    ) -> None:
        self.accesses = principal_accesses(wanted, admin, rights)
        self._s3 = s3
        self._bucket = bucket
        self._admin = admin
        self._wanted = wanted
        self._rights = rights
        self._warn = warn

    def plan(self, policy: Policy | None, owner: str) -> list[FixStep]:
        """A step for each statement that goes, and one for those that come; each of them applies the whole change."""
        _check_users(policy, self._bucket, owner, self.accesses)
        admin = admin_principal(policy or {}, owner) or self._admin
        wanted = protected_policy(self._bucket, admin, self.accesses)
        if policy and same_policy(policy, wanted):
            return []
        removed, _ = differing_statements(policy or {}, wanted)
        changes = [f"- {name_statement(each)}" for each in removed]
        changes.append(f"+ the policy of a protected bucket for {', '.join(map(str, self.accesses))}")
        return [FixStep("policy", f"policy: {change}", partial(self._replace, policy)) for change in changes]

    def _replace(self, policy: Policy | None) -> None:
        admin = find_admin_principal(self._s3, self._bucket, policy)
        if not obeys_conditions(self._s3, self._bucket, admin, policy):
            self._warn(CONDITIONS.consequence)
        accesses = principal_accesses(self._wanted, admin, self._rights)
        replace_policy(self._s3, self._bucket, policy, protected_policy(self._bucket, admin, accesses))


def is_adopted(index: Index, plan: AdoptionPlan, *, pin: bool) -> bool:
    """Whether nothing is left to do: an adoption has ended, has a state, and no setting was changed since."""
    ended = [each for each in index.operations.recorded(plan.bucket) if each.kind == KIND and each.ended_at]
    has_state = Location(plan.bucket) in index.locations(plan.bucket)
    return bool(ended) and has_state and not plan.steps and not (pin and plan.past.small)


def apply_adoption(
    s3: S3, index: Index, plan: AdoptionPlan, *, pin: bool, progress: Progress = lambda count: None
) -> Pinned:
    """Apply the plan, and record it. Safe to repeat after an interruption at any point.

    With ``pin``, ``null`` versions up to the plan's limit are copied in place. Raises CheckFailed if the bucket is not
    protected afterwards, or the admin cannot read a repository.
    """
    bucket = plan.bucket
    resumed = any(each.kind == KIND and each.ended_at is None for each in index.operations.recorded(bucket))
    note = f"for {', '.join(map(str, plan.users))}"
    with begin_operation(s3, index, new_operation(s3, KIND, Location(bucket), note)) as log:
        apply_fix(plan.steps)
        if drift := check_storage(s3, bucket):
            raise CheckFailed(
                f"bucket {bucket} is not protected: {name_some([item.detail for item in drift], separator='; ')}"
            )
        for root in plan.owners:
            _check_readable(s3, Location(bucket, root))
        if not pin:
            return Pinned(0, 0, [])
        return pin_small(s3, bucket, plan.past.limit, log, resumed=resumed, progress=progress)


def _check_bucket(s3: S3, bucket: str) -> None:
    try:
        exists = s3.bucket_exists(bucket)
    except AccessDenied:  # of another account, which is refused with its reason when the ACL is read
        exists = True
    if not exists:
        raise NotFound(
            f"bucket {bucket} does not exist", hint=f"`rwm storage create {bucket} USER` makes a protected one"
        )


def _check_places(s3: S3, bucket: str, wanted: Wanted) -> None:
    """Raise UsageError for a prefix that is a directory of a repository."""
    for user, prefix in wanted:
        if repository := enclosing_repository(s3, Location(bucket, prefix)):
            raise inside_repository(f"{prefix} of {user}", repository, "give the user all of the repository")


def _likely_admin(s3: S3, bucket: str) -> str:
    """This account's principal: the one in the policy, or the likeliest. It is proved before the policy is written."""
    account = s3.owner_id()
    candidates = candidate_principals(account, s3.caller_arn())
    if not candidates:
        raise Refused("the server does not tell the name of this account, so no policy can name it")
    return admin_principal(s3.policy(bucket) or {}, account) or candidates[0]


def _check_users(policy: Policy | None, bucket: str, owner: str, accesses: Sequence[UserAccess]) -> None:
    """Raise Refused where a protected bucket is meant for others: adopting it would take their access."""
    check_not_frozen(policy, bucket)
    users = policy_users(policy, bucket, owner)
    is_protected = same_policy(policy, protected_policy(bucket, admin_principal(policy or {}, owner), users))
    if is_protected and users != list(accesses):
        raise Refused(
            f"bucket {bucket} is protected already, for {', '.join(map(str, users))}",
            hint=f"`rwm storage grant {bucket} USER` and `rwm storage revoke {bucket} USER` change its users",
        )


def _notes(roots: Sequence[str], accesses: Sequence[UserAccess]) -> list[str]:
    if not roots:
        return ["no restic repository is found in the bucket"]
    return [
        f"no user reaches the repository at {root or 'the root of the bucket'}: only the admin can use it"
        for root in roots
        if not any(access.covers(root) for access in accesses)
    ]


def _check_readable(s3: S3, repository: Location) -> None:
    """Read something of each directory: on Ceph RGW an object belongs to its writer, and only the policy helps."""
    bucket, root = repository.bucket, repository.prefix
    keys = [root + CONFIG_FILE]
    for directory in REPOSITORY_DIRECTORIES:
        keys += islice(s3.current_keys(bucket, f"{root}{directory}/"), 1)
    for key in keys:
        try:
            s3.size(bucket, key)
        except NotFound:  # deleted meanwhile
            continue
        except AccessDenied as error:
            raise CheckFailed(
                f"this account cannot read {bucket}/{key}: {error.why}",
                hint="the object belongs to its writer; on AWS set Object Ownership to BucketOwnerEnforced",
            ) from error
