"""``restic check`` of a state, as commands run it: on a mount, with its lines as notes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rwm import console
from rwm.console import App
from rwm.model import StateInfo
from rwm.repositories import RepositoryCount, count_repositories

if TYPE_CHECKING:
    from rwm.verify import RepositoryCheck


def count_repositories_below(app: App, info: StateInfo, prefix: str) -> tuple[list[RepositoryCount], bool]:
    """The repositories of a state below a prefix, and whether the state has no other ones. Reads the whole state."""
    counted = count_repositories(app.readonly_index.batches(info))
    below = [each for each in counted if each.prefix.startswith(prefix)]
    return below, len(below) == len(counted)


def check_repositories(
    app: App, info: StateInfo, repositories: Sequence[RepositoryCount], percent: float | None
) -> list[RepositoryCheck]:
    """Check repositories of a state; ``percent`` and errors as :func:`rwm.verify.check_with_restic`."""
    from rwm import verify

    return verify.check_with_restic(
        app.config,
        info,
        repositories,
        percent,
        lambda _, line: console.print_note(line),
        partial(verify.server_answers, app.s3, info.bucket),
    )
