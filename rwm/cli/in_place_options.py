"""The options of ``rwm state restore --in-place`` and ``--undo``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm.cli.shared_options import YES_OPTION
from rwm.errors import UsageError

if TYPE_CHECKING:
    from rwm.rollback import Mode


@dataclass(frozen=True)
class InPlace:
    """How a bucket is changed in place. ``undo_file`` is where the undo file is written; None: beside the index."""

    in_place: bool = False
    undelete: bool = False
    roll_back: bool = False
    undo: Path | None = None
    undo_file: Path | None = None
    note: str = ""
    dry_run: bool = False
    force: bool = False
    yes: bool = False

    @property
    def wanted(self) -> bool:
        """Whether a state is to be restored in place."""
        return self.in_place or self.undelete or self.roll_back

    @property
    def mode(self) -> Mode:
        """What is done. Raises UsageError for both modes."""
        if self.undelete and self.roll_back:
            raise UsageError("--undelete and --roll-back exclude each other")
        return "undelete" if self.undelete else "roll-back"

    def check_unused(self) -> None:
        """Raise UsageError if an option is given that belongs to a change in place."""
        if self != InPlace():
            raise UsageError("--undo-file, --note, --dry-run, --force and --yes belong to --in-place and --undo")


def in_place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a change in place; the command gets them as ``in_place``."""

    @wraps(command)
    def collect(*arguments: Any, **options: Any) -> Any:
        names = [each.name for each in fields(InPlace)]
        return command(*arguments, in_place=InPlace(**{name: options.pop(name) for name in names}), **options)

    result: Any = collect
    for option in reversed(_OPTIONS):
        result = option(result)
    return result  # type: ignore[no-any-return]  # a command is what it is


_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option("--in-place", is_flag=True, help="Make the live bucket what it was."),
    click.option("--roll-back", is_flag=True, help="In place, everything (default of --in-place)."),
    click.option("--undelete", is_flag=True, help="In place, but only remove delete markers that were set since."),
    click.option("--undo", type=_FILE, metavar="FILE", help="Undo an earlier --in-place, or an --undo."),
    click.option("--undo-file", type=_FILE, metavar="FILE", help="Write the undo file there (default: at the index)."),
    click.option("--note", metavar="TEXT", default="", help="Why; it is kept in the record of the operation."),
    click.option("--dry-run", is_flag=True, help="Print the plan and change nothing."),
    click.option(
        "--force",
        is_flag=True,
        help="Even if a machine may write meanwhile, or the state or the undo file may be forged.",
    ),
    YES_OPTION,
)
