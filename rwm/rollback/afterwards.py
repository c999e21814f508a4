"""What a listing after the changes shows: keys that differ again, and versions that somebody wrote meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from rwm.model import ObjectVersion, OperationChange
from rwm.rollback.plan import MAX_NAMED, RollbackPlan
from rwm.rollback.sorted_listing import Keyed, Watch, join, sort_by_key


@dataclass
class Comparison:
    """``left`` keys differ again: somebody wrote them after their changes.

    ``hidden`` counts what somebody wrote after the plan was made and before its change: it is noncurrent now.
    ``named`` are (key, version id) of some.
    """

    left: int = 0
    hidden: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)


def compare_afterwards(made: Iterable[OperationChange], make_plan: Callable[[Watch], RollbackPlan]) -> Comparison:
    """Make the plan again, and look in its listing for what was written beside the changes, as they are recorded."""
    result = Comparison()
    written = (Keyed(each.key, list(each)) for each in made if each.did in ("copied", "marked"))
    with ExitStack() as stack:
        changes = stack.enter_context(sort_by_key(written))

        def watch(listed: Iterator[Keyed[list[ObjectVersion]]]) -> Iterator[Keyed[list[ObjectVersion]]]:
            for key, fields, history in join(changes, listed):
                if fields is not None:
                    _add_hidden(result, history, OperationChange(*fields))
                if history:
                    yield Keyed(key, history)

        result.left = stack.enter_context(make_plan(watch)).differing
    return result


def _add_hidden(result: Comparison, history: list[ObjectVersion], change: OperationChange) -> None:
    positions = {entry.version_id: position for position, entry in enumerate(history)}
    if change.version_id not in positions or change.before not in positions:
        return
    for entry in history[positions[change.version_id] + 1 : positions[change.before]]:
        result.hidden += 1
        if len(result.named) < MAX_NAMED:
            result.named.append((entry.key, entry.version_id))
