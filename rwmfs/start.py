"""From a request to a mount: find the state, see that it can be read, serve it.

Runs in the process that will serve, because neither SQLite nor boto3 survives a fork.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwm.cli.output import state_json
from rwm.config import Config
from rwmfs import logs
from rwmfs.browse import Browse
from rwmfs.probe import probe
from rwmfs.shown import OneState, Shown

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.model import ObjectReader


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. ``mountpoint`` is prepared, paths are absolute, ``cache_size`` is in bytes.

    Without ``at`` all states are shown.
    """

    config: Config
    bucket: str
    at: str | None
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
        source = connect(*request.config.s3_settings()).reader(request.bucket)
        if request.at is None:
            shown, report = _all(index, source, request.bucket)
        else:
            shown, report = _one(index, source, request.bucket, request.at)
        report["mountpoint"] = str(request.mountpoint)
        report["log_file"] = str(request.log_file) if request.log_file else None
        mount = session.Mount(shown, source, request.mountpoint, request.cache_size, request.allow_other)
        session.serve(mount, lambda: ready(report))


def _one(index: Index, source: ObjectReader, bucket: str, at: str) -> tuple[Shown, dict[str, Any]]:
    """The state that is meant, and what there is to say of it."""
    info = index.resolve(at, bucket)
    state = index.tree(info)
    probe(state, source)
    report = state_json(info) | {"hidden_keys": state.hidden_count(), "trust": index.trust(info)}
    return OneState(state, index.trust), report


def _all(index: Index, source: ObjectReader, bucket: str) -> tuple[Shown, dict[str, Any]]:
    """All states of the bucket; the one that ``latest`` means is looked at."""
    shown = Browse(index, bucket)
    recorded = shown.recorded()
    if recorded.newest is None:
        index.resolve("latest", bucket)  # which says what to do
    if recorded.latest is not None:
        probe(index.tree(recorded.latest), source)
    trust = Counter(state.trust for state in index.recorded(bucket))
    return shown, {"bucket": bucket, "states": len(recorded.ids), "trust": dict(trust)}
