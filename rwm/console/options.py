"""Options that every command takes, before or after its name, and what they lead to: configuration, S3, index."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwm.console.output import warn

if TYPE_CHECKING:
    from rwm.config import Config
    from rwm.index import Index
    from rwm.s3 import S3

Command = TypeVar("Command", bound=Callable[..., Any])


class App:
    """What a command works with. Adapters are built here, on first use, and handed down to the services."""

    def __init__(self) -> None:
        self.config_path: str | None = None
        self.json = False
        self.verbose = False

    @cached_property
    def config(self) -> Config:
        """The configuration, its warnings said once."""
        from rwm.config import load

        config = load(self.config_path)
        for warning in config.warnings:
            warn(warning)
        return config

    @cached_property
    def s3(self) -> S3:
        """The account of the configuration."""
        from rwm.s3 import connect

        return connect(*self.config.s3_settings())

    @cached_property
    def index(self) -> Index:
        """The local index."""
        from rwm.index import Index

        return Index.open(self.config.index_path)

    def reopen_index(self) -> None:
        """The next use opens it anew."""
        index = self.__dict__.pop("index", None)
        if index:
            index.close()


def current_app(context: click.Context) -> App:
    """The one App of this run, whatever command the context belongs to."""
    app = context.find_root().ensure_object(App)
    assert isinstance(app, App)
    return app


def _config(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        current_app(context).config_path = value


def _json(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        current_app(context).json = True


def _verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not current_app(context).verbose:
        current_app(context).verbose = True
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")


class _ConfigOption(click.Option):
    """The original tool's README spells it ``--confg`` too. That works and is not advertised."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --confg", ""), record[1])


def common(command: Command) -> Command:
    """Give a command ``-c``, ``-v`` and ``--json``; its function gets none of them: it asks the App."""
    for option in (
        click.option("--json", is_flag=True, expose_value=False, callback=_json, help="Print one JSON document."),
        click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose, help="Say more."),
        click.option(
            "-c",
            "--config",
            "--confg",
            metavar="FILE",
            expose_value=False,
            callback=_config,
            cls=_ConfigOption,
            help="Configuration file (default: $RWM_CONFIG, ./rwm.conf, ~/.config/rwm/rwm.conf, /etc/rwm/rwm.conf).",
        ),
    ):
        command = option(command)
    return command


pass_app = click.make_pass_decorator(App, ensure=True)
