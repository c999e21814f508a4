"""Options that every command takes, before or after its name: configuration file, verbosity, JSON."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rwm.console.app import current_app

Command = TypeVar("Command", bound=Callable[..., Any])


class _NewDirectory(click.Path):
    """A directory to write to. An empty name is refused: it may be of a variable that is not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises click.BadParameter for an empty name."""
        if not value:
            self.fail("an empty name is no directory", param, ctx)
        return super().convert(value, param, ctx)


NEW_DIRECTORY = _NewDirectory(path_type=Path)


def _set_config(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        current_app(context).config_path = value


def _set_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        current_app(context).json = True


def _set_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not current_app(context).verbose:
        current_app(context).verbose = True
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")


class _ConfigOption(click.Option):
    """``--config``. The README of the original tool also spells it ``--confg``: accepted, but not shown in help."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option without that spelling, and its help."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --confg", ""), record[1])


def common_options(command: Command) -> Command:
    """Add ``-c``, ``-v`` and ``--json`` to a command. They set the App and are not passed to the function."""
    for option in (
        click.option("--json", is_flag=True, expose_value=False, callback=_set_json, help="Print one JSON document."),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_set_verbose,
            help="Print more details, and a traceback for an error.",
        ),
        click.option(
            "-c",
            "--config",
            "--confg",
            metavar="FILE",
            expose_value=False,
            callback=_set_config,
            cls=_ConfigOption,
            help="Configuration file (default: $RWM_CONFIG, ./rwm.conf, ~/.config/rwm/rwm.conf, /etc/rwm/rwm.conf).",
        ),
    ):
        command = option(command)
    return command
