"""``rwmfs cache``: show the disk cache, or clear it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rwm import console
from rwm.console import App, common_options, pass_app
from rwm.errors import RwmError

DIRECTORY = click.option(
    "--cache-dir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    help="Directory of the disk cache (default: cache_dir).",
)


@click.group()
@common_options
def cache() -> None:
    """Show the disk cache of mounts, or clear it."""


@cache.command()
@common_options
@DIRECTORY
@pass_app
def info(app: App, directory: Path | None) -> None:
    """Show the directory of the disk cache, its limit and its size."""
    from rwmfs.cache import cache_usage
    from rwmfs.cli.mount_options import configured_size

    path, limit = _cache_directory(app, directory), configured_size(app.config)
    with _os_error_as_rwm_error(path):
        used, objects = cache_usage(path)
    result = _info_json(path, limit, used, objects)
    if app.json:
        console.print_json(result)
        return
    click.echo(f"directory  {console.escape(result['directory'])}")
    click.echo(f"limit      {console.format_size(limit) if limit else 'none, the cache is off'}")
    click.echo(f"used       {console.format_size(result['used'])}, {console.format_count(result['objects'], 'object')}")


@cache.command()
@common_options
@DIRECTORY
@pass_app
def clear(app: App, directory: Path | None) -> None:
    """Remove everything from the disk cache.

    Running mounts continue, and fill it again.
    """
    from rwmfs.cache import empty_cache

    path = _cache_directory(app, directory)
    with _os_error_as_rwm_error(path):
        size, count = empty_cache(path)
    result = _clear_json(path, size, count)
    if app.json:
        console.print_json(result)
        return
    click.echo(console.escape(f"freed {console.format_size(size)}, {console.format_count(count, 'object')}, in {path}"))


def _cache_directory(app: App, directory: Path | None) -> Path:
    return (directory or app.config.cache_dir).absolute()


@contextmanager
def _os_error_as_rwm_error(path: Path) -> Iterator[None]:
    """Raise an OSError as an RwmError that names the directory."""
    try:
        yield
    except OSError as error:
        raise RwmError(f"disk cache {path}: {error.strerror}") from error


def _info_json(directory: Path, limit: int, used: int, objects: int) -> dict[str, Any]:
    return {"directory": str(directory), "limit": limit, "used": used, "objects": objects}


def _clear_json(directory: Path, freed: int, objects: int) -> dict[str, Any]:
    return {"directory": str(directory), "freed": freed, "objects": objects}
