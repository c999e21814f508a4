"""Changes from one content, expressed as changes from another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rwm.model import Change, Difference


def rebase(changes: Iterable[Change], moved: Iterable[Difference]) -> Iterator[Change]:
    """The changes that lead from a new base to where ``changes`` lead from the old one. All are sorted by key.

    ``moved`` are the differences between the two bases.
    """
    differences = iter(moved)
    difference = next(differences, None)
    for change in changes:
        while difference is not None and difference.key < change.key:
            yield Change(difference.key, difference.before)
            difference = next(differences, None)
        if difference is not None and difference.key == change.key:
            if difference.after != change.entry:
                yield change
            difference = next(differences, None)
        else:
            yield change
    while difference is not None:
        yield Change(difference.key, difference.before)
        difference = next(differences, None)
