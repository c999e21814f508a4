"""Which states are kept: the keep rules are applied to the states of each location by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rwm.errors import UsageError
from rwm.index import Index, states_by_location
from rwm.location import Location
from rwm.model import RecordedState, StateInfo
from rwm.retention.audit_judgement import AuditJudgement
from rwm.times import SECOND
from rwm.trust import KeepPolicy, LocationAudit

IsClean = Callable[[StateInfo], bool]


def select_kept_states(
    index: Index,
    location: Location,
    rules: KeepPolicy,
    named: Iterable[str] = (),
    audit: LocationAudit | None = None,
) -> list[StateInfo]:
    """The states of each location that the rules keep, and the ``named`` ones, oldest first.

    The rules are applied where :func:`follows_rule` says, by :func:`apply_rules`; without an audit all states count as
    clean. A state that the bucket's history does not confirm is kept only by name. Raises UsageError when no state is
    asked for, StateNotFound for a name of no state that overlaps the location.
    """
    names = list(named)
    if rules.is_empty and not names:
        raise UsageError(
            "say which states to keep",
            hint="with `keep` in the configuration, --keep-last N (at least 1), --keep-daily N … or --keep-state S",
        )
    recorded = index.recorded(location)
    wanted = {index.resolve(name, location).id for name in names}
    is_clean = judge_by(audit)
    if not rules.is_empty:
        for states in states_by_location(recorded).values():
            if follows_rule(location, states[0].info.location):
                wanted.update(info.id for info in apply_rules(candidates(states), rules, is_clean))
    return [state.info for state in recorded if state.info.id in wanted]


def apply_rules(states: Sequence[StateInfo], rules: KeepPolicy, is_clean: IsClean) -> list[StateInfo]:
    """Those of one location's states, oldest first, that are kept. Pure.

    Only clean states fill a slot of a rule, so states of an attacker do not push good ones out. A state that is not
    clean is kept until somebody judges it: acknowledged, the rules count it; forgotten, it is gone. A state without
    objects fills no slot either, and is kept only while it is newer than all clean ones.
    """
    clean = [info for info in states if is_clean(info) and info.objects]
    kept = {clean[position].id for position in rules.keeps([info.captured_at for info in clean])}
    newest = clean[-1].captured_at if clean else -1
    kept |= {info.id for info in states if not is_clean(info) or (not info.objects and info.captured_at > newest)}
    return [info for info in states if info.id in kept]


def recorded_clean_states(index: Index, location: Location) -> dict[Location, list[StateInfo]]:
    """The states that the rules may keep, by location, oldest first: none that the last audit did not find clean.

    For what is not to be audited anew. A state that no audit has judged counts as clean.
    """
    found = {}
    for place, states in states_by_location(index.recorded(location)).items():
        if follows_rule(location, place):
            verdicts = {state.info.id: state.verdict for state in states}
            clean = [info for info in candidates(states) if info.objects and verdicts[info.id] in ("clean", None)]
            if clean:
                found[place] = clean
    return found


def judge_by(audit: LocationAudit | None) -> IsClean:
    """Whether an audit found a state clean: not one that was captured after it. Without an audit all are."""
    if audit is None:
        return lambda info: True
    judgement, end = AuditJudgement(audit), audit.now // SECOND * SECOND
    return lambda info: info.captured_at <= end and judgement.is_clean(info)


def follows_rule(pruned: Location, location: Location) -> bool:
    """Whether the keep rules of a prune apply to the states of a location: all other states are kept.

    The prune of a bucket applies them to every location in the bucket, the prune of a prefix to that prefix alone.
    """
    return not pruned.prefix or location == pruned


def candidates(states: Sequence[RecordedState]) -> list[StateInfo]:
    """The states of one location that the rules may keep: the confirmed ones, without any the unchecked ones."""
    confirmed = [state.info for state in states if state.trust in ("own", "verified")]
    return confirmed or [state.info for state in states if state.trust == "unchecked"]
