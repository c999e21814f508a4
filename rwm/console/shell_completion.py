"""Shell completion of buckets and states from the index. Any error results in no suggestions.

Shells split suggestions at blanks, expand and print them, so only names of plain characters are suggested.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from rwm.console.app import current_app
from rwm.console.options import common_options
from rwm.location import Location
from rwm.model import LAST_CLEAN, LATEST, StateInfo
from rwm.times import iso

SHELLS = ("bash", "zsh", "fish")
_NAMES = {LATEST: "the newest", LAST_CLEAN: "the newest that an audit found clean"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._/-]+", re.ASCII)


def _recorded_states(context: click.Context) -> list[StateInfo]:
    """All states in the index; an empty list if it cannot be read."""
    try:
        from rwm.config import load_config
        from rwm.index import Index

        path = load_config(current_app(context).config_path).index_path  # not app.config, which prints warnings
        if not path.exists():  # do not create an index
            return []
        with Index.open(path, readonly=True) as index:
            return [info for info in index.states() if _PLAIN_NAME.fullmatch(str(info.location))]
    except Exception:  # noqa: BLE001 - an error would be printed into the command line that is being typed
        return []


class _Completed(click.ParamType[Any], ABC):
    """An argument with suggestions; subclasses say which."""

    @abstractmethod
    def suggestions(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Suggested words and their descriptions."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The suggestions that start with ``incomplete``."""
        suggestions = self.suggestions(_recorded_states(ctx), ctx)
        return [CompletionItem(word, help=text) for word, text in suggestions.items() if word.startswith(incomplete)]


class LocationName(_Completed):
    """A bucket or a prefix in it, converted to a Location; completed to those of recorded states, and their buckets."""

    name = "BUCKET[/PREFIX]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        """Read the text. Raises UsageError."""
        return value if isinstance(value, Location) else Location.parse(str(value))

    def suggestions(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Locations, sorted."""
        names = {name for info in states for name in (info.bucket, str(info.location))}
        return dict.fromkeys(sorted(names), "")


class StateName(_Completed, click.types.StringParamType):
    """A state, completed to short ids, newest first: those that overlap the location if one is given."""

    def suggestions(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Short ids with location and time."""
        states = list(states)
        location = _given_location(states, context)
        chosen = [info for info in states if location is None or info.location.overlaps(location)]
        found = {info.short: f"{info.location} {iso(info.captured_at)}" for info in reversed(chosen)}
        return found | (_NAMES if location else {})


def _given_location(states: Iterable[StateInfo], context: click.Context) -> Location | None:
    """The location that the command line names so far, as an argument or an option."""
    given: Location | None = context.params.get("location")
    if given is not None:
        return given
    # While an option still lacks its value, click does not assign arguments: they are in context.args.
    known = {str(place): place for info in states for place in (Location(info.bucket), info.location)}
    return next((known[word] for word in context.args if word in known), None)


LOCATION = LocationName()
STATE = StateName()


@click.command()
@common_options
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    To enable it in bash: eval "$(rwm completion bash)", and for rwmfs: eval "$(rwmfs completion bash)".
    """
    completion_class = get_completion_class(shell)
    assert completion_class
    root = context.find_root()
    name = root.info_name or "rwm"
    click.echo(completion_class(root.command, {}, name, f"_{name.upper()}_COMPLETE").source())
