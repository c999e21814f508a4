"""The options of ``rwmfs mount``, and the MountRequest built from them. ``mount.rwmfs`` uses them too."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwm.console import STATE, current_app, parse_size
from rwm.errors import ConfigError
from rwmfs.cli import fstab_options
from rwmfs.defaults import CONNECTIONS

if TYPE_CHECKING:
    from rwm.config import Config
    from rwmfs.mount import MountRequest

Command = TypeVar("Command", bound=Callable[..., Any])

BUFFER_SIZE = "256M"
MAX_CONNECTIONS = 128
MAX_ID = 2**32 - 2
"""The highest uid or gid; 2^32 - 1 means none."""


def parse_umask(text: str) -> int:
    """Permission bits in octal, ``077`` or ``0077``. Raises ValueError."""
    if not re.fullmatch(r"0?[0-7]{1,3}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a umask: write it in octal, as 077")
    return int(text, 8)


def parse_uid(text: str) -> int:
    """The uid of a user given by number or name. Raises ValueError."""
    return _parse_id(text, "user", lambda name: pwd.getpwnam(name).pw_uid)


def parse_gid(text: str) -> int:
    """The gid of a group given by number or name. Raises ValueError."""
    return _parse_id(text, "group", lambda name: grp.getgrnam(name).gr_gid)


def _parse_id(text: str, what: str, find: Callable[[str], int]) -> int:
    if re.fullmatch(r"\d{1,10}", text, re.ASCII) and int(text) <= MAX_ID:
        return int(text)
    try:
        return find(text)
    except (KeyError, ValueError):  # ValueError: a NUL in it
        raise ValueError(f"{text!r} is not a {what} on this computer, nor a number") from None


def _parsed_by(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """An option callback that parses the text, if any, with one of the functions above."""

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return convert


def _apply_fstab_options(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> None:
    """Make the options in ``-o`` the defaults of the others, so that an explicit option wins."""
    if context.resilient_parsing:
        return
    defaults = fstab_options.parse(fstab_options.split(values))
    if current_app(context).config_path is not None:  # given before the command
        defaults.pop("config", None)
    context.default_map = defaults


_PATH = click.Path(path_type=Path, readable=False)
_OPTIONS = (
    click.option(
        "--at",
        metavar="STATE",
        type=STATE,
        help="One state: an id or its start, latest, last-clean, or a UTC time.",
    ),
    click.option(
        "-o",
        "mount_options",
        metavar="OPT[,OPT]...",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_apply_fstab_options,
        help="Options as in fstab: allow_other, at=STATE, config=FILE and so on (_ for -), and those of mount(8).",
    ),
    click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground, with the log on stderr."),
    click.option("--allow-other", is_flag=True, help="Let other users read the mount."),
    click.option("--uid", metavar="USER", callback=_parsed_by(parse_uid), help="Owner of all files."),
    click.option("--gid", metavar="GROUP", callback=_parsed_by(parse_gid), help="Group of all files."),
    click.option(
        "--umask",
        metavar="MODE",
        callback=_parsed_by(parse_umask),
        default="0",
        help="Permission bits to clear, octal: 077 excludes all but the owner.",
    ),
    click.option(
        "--buffer-size",
        metavar="SIZE",
        callback=_parsed_by(parse_size),
        default=BUFFER_SIZE,
        help=f"Memory for data read and in flight (default: {BUFFER_SIZE}).",
    ),
    click.option(
        "--cache-dir",
        metavar="DIR",
        type=_PATH,
        help="Directory of the disk cache (default: cache_dir of the configuration).",
    ),
    click.option(
        "--cache-size",
        metavar="SIZE",
        callback=_parsed_by(parse_size),
        help="Limit of the disk cache, 0 for none (default: cache_size of the configuration).",
    ),
    click.option(
        "--connections",
        metavar="N",
        type=click.IntRange(1, MAX_CONNECTIONS),
        default=CONNECTIONS,
        help=f"Concurrent requests to S3 (default: {CONNECTIONS}).",
    ),
    click.option(
        "--log-file", metavar="FILE", type=_PATH, help="Log to FILE (default: log_path of the configuration)."
    ),
)


def options(command: Command) -> Command:
    """Decorate a command with the options of a mount, which :func:`build_request` reads from its context."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_request(context: click.Context, *, label: str | None = None) -> MountRequest:
    """Build the request from a command's location, MOUNTPOINT and options; ``label`` is its name in lists of mounts.

    Prepares the mountpoint. Raises click.UsageError, ConfigError, or MountError.
    """
    from rwm.index import missing_index
    from rwmfs.access import Access
    from rwmfs.mount import MountRequest, prepare_log_path, prepare_mountpoint

    given = context.params
    if given["at"] == "":  # probably an unset variable, not a request for all states
        raise click.UsageError("--at is empty: it needs a state id, latest, last-clean, or a UTC time", context)
    app = current_app(context)
    app.config.s3_settings()
    mountpoint = prepare_mountpoint(given["mountpoint"])
    if missing := missing_index(app.config.index_path, given["location"]):
        raise missing  # before a log is made
    log_file = given["log_file"]
    if log_file is None and not given["foreground"]:
        log_file = prepare_log_path(app.config.log_path, str(given["location"]))
    cache_size = configured_size(app.config) if given["cache_size"] is None else given["cache_size"]
    return MountRequest(
        config=app.config,
        location=given["location"],
        at=given["at"],
        mountpoint=mountpoint,
        buffer_size=given["buffer_size"],
        cache_dir=(given["cache_dir"] or app.config.cache_dir).absolute(),
        cache_size=cache_size,
        connections=given["connections"],
        access=Access.own(given["uid"], given["gid"], given["umask"]),
        allow_other=given["allow_other"],
        log_file=log_file.absolute() if log_file else None,
        foreground=given["foreground"],
        verbose=app.verbose,
        label=label,
    )


def configured_size(config: Config) -> int:
    """The limit of the disk cache from the configuration, in bytes; raises ConfigError."""
    try:
        return parse_size(config.cache_size)
    except ValueError as error:
        raise ConfigError(f"{config.path}: cache_size: {error}") from None
