"""``rwmfs cache``: look at the disk cache, empty it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rwm import console
from rwm.console import App, common, pass_app
from rwm.errors import RwmError

DIRECTORY = click.option(
    "--cache-dir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    help="Directory of the disk cache (default: cache_dir).",
)


@click.group()
@common
def cache() -> None:
    """Look at the disk cache of mounts, or empty it."""


@cache.command()
@common
@DIRECTORY
@pass_app
def info(app: App, directory: Path | None) -> None:
    """Show where the disk cache is, its limit and what it takes."""
    from rwmfs.cache import usage
    from rwmfs.cli.mount_options import configured_size

    place, limit = _place(app, directory), configured_size(app.config)
    with _told(place):
        used, objects = usage(place)
    found = _info_json(place, limit, used, objects)
    if app.json:
        console.document(found)
        return
    click.echo(f"directory  {console.escape(found['directory'])}")
    click.echo(f"limit      {console.size(limit) if limit else 'nothing is kept'}")
    click.echo(f"used       {console.size(found['used'])}, {console.count(found['objects'], 'object')}")


@cache.command()
@common
@DIRECTORY
@pass_app
def clear(app: App, directory: Path | None) -> None:
    """Remove all that the disk cache holds.

    Mounts that use it go on, and fill it again.
    """
    from rwmfs.cache import empty

    place = _place(app, directory)
    with _told(place):
        size, count = empty(place)
    freed = _clear_json(place, size, count)
    if app.json:
        console.document(freed)
        return
    click.echo(console.escape(f"freed {console.size(size)}, {console.count(count, 'object')}, in {place}"))


def _place(app: App, directory: Path | None) -> Path:
    return (directory or app.config.cache_dir).absolute()


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        raise RwmError(f"disk cache {place}: {error.strerror}") from error


def _info_json(directory: Path, limit: int, used: int, objects: int) -> dict[str, Any]:
    return {"directory": str(directory), "limit": limit, "used": used, "objects": objects}


def _clear_json(directory: Path, freed: int, objects: int) -> dict[str, Any]:
    return {"directory": str(directory), "freed": freed, "objects": objects}
