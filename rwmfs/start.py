"""From a request to a mount: find the state, see that it can be read, serve it.

Runs in the process that will serve, because neither SQLite nor boto3 survives a fork.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwm.cli.output import state_json
from rwm.config import Config
from rwmfs import logs
from rwmfs.access import Access
from rwmfs.allocator import Pool, idle_part
from rwmfs.browse import Browse
from rwmfs.diskcache import DiskCache
from rwmfs.fetcher import SECONDS
from rwmfs.probe import probe
from rwmfs.shown import OneState, Shown

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.model import ObjectReader

SILENCE = 20.0
"""Seconds that a server may be silent within an answer before it is asked again, on another connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. ``mountpoint`` is prepared, paths are absolute, sizes are in bytes.

    Without ``at`` all states are shown. ``buffer_size`` is memory, ``cache_size`` the room for the cache on disk in
    ``cache_dir`` (0: none); ``connections`` are requests to S3 at once; ``label`` is how lists of mounts call it, None
    for its usual name. ``silence`` is how many seconds a server may be silent within an answer, ``patience`` how many a
    read may take with all that is tried for it.
    """

    config: Config
    bucket: str
    at: str | None
    mountpoint: Path
    buffer_size: int
    cache_dir: Path
    cache_size: int
    connections: int
    access: Access
    allow_other: bool
    log_file: Path | None
    foreground: bool
    verbose: bool
    label: str | None = None
    silence: float = SILENCE
    patience: float = SECONDS


def expect_questions() -> None:
    """Let SIGUSR1, which asks a mount what it has done, be harmless until there is one to answer.

    To be called before the process forks, or there is a moment in which it kills the child.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def serve(request: Request, ready: Callable[[dict[str, Any]], None]) -> None:
    """Mount, call ``ready`` with a report, and serve until the end.

    Raises StateNotFound, IndexUnusable, S3Error (the state cannot be read), or MountError.
    """
    from rwm.index import Index
    from rwm.s3 import connect
    from rwmfs import session

    logs.start(request.log_file, stderr=request.foreground, verbose=request.verbose)
    with Index.open(request.config.index_path, readonly=True) as index:
        s3 = connect(*request.config.s3_settings(), attempts=1, silence=request.silence, pool=request.connections)
        if request.at is None:
            shown, report = _all(index, s3.reader(request.bucket), request.bucket)
        else:
            shown, report = _one(index, s3.reader(request.bucket), request.bucket, request.at)
        report["mountpoint"] = str(request.mountpoint)
        report["log_file"] = str(request.log_file) if request.log_file else None
        pool = Pool(idle_part(request.buffer_size))
        mount = session.Mount(
            shown,
            # The mount asks again by itself, for as long as it makes sense.
            s3.reader(request.bucket, attempts=1, allocate=pool.allocate),
            request.mountpoint,
            buffer_size=request.buffer_size,
            idle=pool.idle,
            disk=_disk(request, pool),
            connections=request.connections,
            access=request.access,
            allow_other=request.allow_other,
            label=request.label,
            patience=request.patience,
        )
        session.serve(mount, lambda: ready(report))


def _disk(request: Request, pool: Pool) -> DiskCache | None:
    if not request.cache_size:
        return None
    endpoint = request.config.required("s3_endpoint_url")
    return DiskCache(request.cache_dir, request.cache_size, endpoint, request.bucket, pool.allocate)


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
