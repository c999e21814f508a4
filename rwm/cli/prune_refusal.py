"""Why ``rwm prune`` deletes nothing, or not all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rwm import console
from rwm.errors import AccessDenied, PartlyDone, Refused
from rwm.phrases import name_some
from rwm.shell import quote

if TYPE_CHECKING:
    from rwm.prune import PrunePlan, RecordedPrune

MAX_NAMED = 3
"""Commands named in one hint."""


def raise_refusal(plan: PrunePlan, force: bool) -> None:
    """Raise Refused with what speaks against the plan; what ``force`` overrides is a warning.

    Raises AccessDenied if this account cannot read what the plan relies on: most likely it is a machine's.
    """
    for finding in plan.findings if force else ():
        console.warn(f"overridden: {finding}")
    reasons = plan.objections(force=force)
    if plan.is_denied and not force:
        raise AccessDenied(
            f"prune of {plan.location}: this account may not read versions, so whether the kept states are whole is "
            "not known",
            hint="nothing was deleted; prune with the configuration of the admin (-c FILE)",
        )
    if reasons:
        audit = f"; `rwm audit {quote(plan.location)}` shows the findings and acknowledges what is honest (--ack)"
        advice = audit if any(place.findings for place in plan.locations) else ""
        advice += "" if plan.refused else ", --force prunes anyway"
        hint = f"nothing was deleted{advice}{_advise_on_the_rest(plan, force)}"
        raise Refused(f"prune of {plan.location} refused: {name_some(reasons, separator='; ')}", hint=hint)


def _advise_on_the_rest(plan: PrunePlan, force: bool) -> str:
    """The commands for the prefixes that nothing speaks against."""
    if plan.bucket_refused or (plan.bucket_findings and not force):
        return ""
    places = [place.location for place in plan.prunable_prefixes(force=force)]
    commands = ", ".join(f"`rwm prune {quote(place)}`" for place in places[:MAX_NAMED])
    more = f" and so on for {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
    verb = "prunes" if len(places) == 1 else "prune"
    return f"; {commands}{more} {verb} the rest" if places else ""


def raise_failures(done: RecordedPrune, count: int) -> None:
    """Raise PartlyDone, or AccessDenied if the account may delete nothing. ``count`` deletions were planned."""
    result, uploads = done.result, done.uploads.failed
    if result.locked and not result.failures:
        raise PartlyDone(
            f"{len(result.locked)} of {count} versions and markers were not deleted because they are locked, by "
            f"something else than this computer's rwm lock{_describe_left(result.left)}",
            hint="run the command again: these are known now, and the rest is planned with them",
        )
    if not result.failures:
        hint = "run the command again"
        raise PartlyDone(f"not aborted: {console.format_count(uploads, 'unfinished upload')}", hint=hint)
    first = result.failures[0]
    if result.versions + result.markers == 0 and {failure.code for failure in result.failures} == {"AccessDenied"}:
        raise AccessDenied(
            "nothing was deleted: this account may not delete versions, or all of them are locked",
            hint="prune with the configuration of the admin",
        )
    counts = Counter(failure.code for failure in result.failures).most_common()
    codes = ", ".join(f"{code}: {number}" for code, number in counts)
    raise PartlyDone(
        f"{len(result.failures)} of {count} versions and markers were not deleted ({codes})"
        f"{_describe_left(result.left)}; the first: {first.key} version {first.version_id}: {first.code}",
        hint="run the command again; locked versions stay until their retention ends",
    )


def _describe_left(left: int) -> str:
    return f", {left} more were not tried" if left else ""
