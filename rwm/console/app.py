"""The objects that a command works with: configuration, S3 client and index, each opened on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from rwm.console.hints import Invocation
from rwm.console.output import warn
from rwm.errors import UsageError

if TYPE_CHECKING:
    from rwm.config import Config
    from rwm.index import Index
    from rwm.s3 import S3

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """The common options of one run, and the adapters that its command passes to the services."""

    def __init__(self) -> None:
        self.config_path: str | None = None
        self.json = False
        self.verbose = False

    @property
    def invocation(self) -> Invocation:
        """How the program was called, for the commands in what it prints."""
        return Invocation.of(self.config_path, os.environ)

    @cached_property
    def config(self) -> Config:
        """The configuration. Its warnings are printed once."""
        from rwm.config import load_config

        config = load_config(self.config_path)
        for warning in config.warnings:
            warn(warning)
        return config

    @cached_property
    def s3(self) -> S3:
        """A client for the account of the configuration."""
        from rwm.s3 import connect

        return connect(self.config.s3_settings())

    @cached_property
    def index(self) -> Index:
        """The local index, for a command that writes to it; created if it does not exist."""
        from rwm.index import Index

        return Index.open(self.config.index_path)

    @cached_property
    def readonly_index(self) -> Index:
        """The local index, for a command that only reads: it is not created, and need not be writable."""
        from rwm.index import Index

        return Index.open(self.config.index_path, readonly=True)

    def warn_of_unknown_keys(self) -> bool:
        """Warn if a listing of this run met keys that it could not tell; whether one did."""
        from rwm.console.unknown_keys import warn_of_unknown_keys

        s3 = self.__dict__.get("s3")  # None before its first use
        return s3 is not None and warn_of_unknown_keys(s3)

    def close_index(self) -> None:
        """Close the index, however it was opened; the next use opens it again."""
        for name in ("index", "readonly_index"):
            if index := self.__dict__.pop(name, None):
                index.close()


def current_app(context: click.Context) -> App:
    """The App of this run: all commands and groups share one."""
    app = context.find_root().ensure_object(App)
    assert isinstance(app, App)
    return app


_pass_app = click.make_pass_decorator(App, ensure=True)


def pass_app(command: Callable[Concatenate[App, P], R]) -> Callable[P, R]:
    """Give a command the :class:`App` as its first argument, after a look at its texts."""

    @wraps(command)
    def checked(app: App, /, *arguments: P.args, **options: P.kwargs) -> R:
        _check_texts(click.get_current_context())
        return command(app, *arguments, **options)

    return _pass_app(checked)


def _check_texts(context: click.Context) -> None:
    """Raise UsageError for a text that is not UTF-8: it can be neither stored nor sent. A path may be so."""
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "") if parameter.type is click.STRING else None
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and any("\ud800" <= char <= "\udfff" for char in text):
                raise UsageError(f"{parameter.get_error_hint(context)}: {text!r} is not UTF-8")
