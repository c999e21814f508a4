"""The keep rules of a command: those of the configuration, overridden one by one by options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwm import console
from rwm.console import STATE, App
from rwm.errors import UsageError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.shell import quote
from rwm.times import parse_restic_duration

if TYPE_CHECKING:
    from rwm.trust import KeepPolicy, LocationAudit

Command = TypeVar("Command", bound=Callable[..., Any])

_PERIODS = {"hourly": "hours", "daily": "days", "weekly": "weeks", "monthly": "months", "yearly": "years"}
_WITHIN = "Keep all states within DUR of the newest (30d, 6m: months, 1y)."


class _Count(click.ParamType[str]):
    """The number of a keep rule, as text."""

    name = "count"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a number or ``unlimited``."""
        from rwm.config import is_keep_count

        if not is_keep_count(value):
            self.fail(f"{value!r} is neither a number nor `unlimited`", param, ctx)
        return value


class _Duration(click.ParamType[str]):
    """A duration in restic's units, as text."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if restic would understand it."""
        try:
            parse_restic_duration(value)
        except UsageError as error:
            self.fail(f"{error.message}: {error.hint}", param, ctx)
        return value


def keep_options(command: Command) -> Command:
    """Add ``--keep-last`` and so on. They are passed as one mapping ``keep``, by the names of :func:`read_rules`."""
    for name, unit in reversed(_PERIODS.items()):
        text = f"Keep the newest state of each of the newest N {unit} that have any."
        command = _option(name, _Count(), "N", text)(command)
    command = _option("within", _Duration(), "DUR", _WITHIN)(command)
    return _option("last", _Count(), "N", "Keep the newest N states of each location.")(command)


def named_states_option(command: Command) -> Command:
    """Add ``--keep-state``."""
    return click.option(
        "--keep-state", multiple=True, metavar="STATE", type=STATE, help="Keep this state too (repeatable)."
    )(command)


def _option(name: str, kind: click.ParamType[str], metavar: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        f"--keep-{name}", type=kind, metavar=metavar, expose_value=False, callback=_collect(name), help=text
    )


def _collect(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def collect(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        given: dict[str, str] = context.params.setdefault("keep", {})
        if value is not None:
            given[name] = value

    return collect


def read_rules(app: App, given: Mapping[str, str]) -> KeepPolicy:
    """The rules of the configuration, in which each option takes the place of the rule of its name."""
    from rwm.trust import KeepPolicy

    return KeepPolicy({**app.config.keep.rules(), **given})


def note_unjudged(location: Location, kept: Iterable[StateInfo], audit: LocationAudit) -> None:
    """Print a note about states that are kept, or locked, only because nobody has judged them."""
    from rwm.retention import judge_by

    is_clean = judge_by(audit)
    if count := sum(not is_clean(info) for info in kept):
        states = console.format_count(count, "state")
        console.print_note(
            f"note: {states} of {location} not found clean and kept until judged: `rwm audit {quote(location)}` "
            "shows why, --ack acknowledges what is honest, rwm state forget takes a state out of the index"
        )
