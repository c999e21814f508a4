"""From a request to a mount: find the state, see that it can be read, serve it.

Runs in the process that will serve, because neither SQLite nor boto3 survives a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rwm.cli.output import state_json
from rwm.config import Config
from rwm.model import StateTree
from rwmfs import logs
from rwmfs.probe import probe


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. ``mountpoint`` is prepared, paths are absolute, ``cache_size`` is in bytes."""

    config: Config
    bucket: str
    at: str
    mountpoint: Path
    cache_size: int
    allow_other: bool
    log_file: Path | None
    foreground: bool
    verbose: bool


def serve(request: Request, ready: Callable[[dict[str, Any]], None]) -> None:
    """Mount, call ``ready`` with a report, and serve until the end.

    Raises StateNotFound, IndexUnusable, S3Error (the state cannot be read), or MountError.
    """
    from rwm.index import Index
    from rwm.s3 import connect
    from rwmfs import session

    logs.start(request.log_file, stderr=request.foreground, verbose=request.verbose)
    with Index.open(request.config.index_path, readonly=True) as index:
        info = index.resolve(request.at, request.bucket)
        state = index.tree(info)
        source = connect(*request.config.s3_settings()).reader(request.bucket)
        probe(state, source)
        mount = session.Mount(state, source, request.mountpoint, request.cache_size, request.allow_other)
        report = _report(request, state) | {"trust": index.trust(info)}
        session.serve(mount, lambda: ready(report))


def _report(request: Request, state: StateTree) -> dict[str, Any]:
    return state_json(state.info) | {
        "mountpoint": str(request.mountpoint),
        "log_file": str(request.log_file) if request.log_file else None,
        "hidden_keys": state.hidden_count(),
    }
