"""From a request to a mount: find the state, see that it can be read, serve it.

Runs in the process that will serve, because neither SQLite nor boto3 survives a fork.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rwm.console import state_json
from rwmfs.mount import logs
from rwmfs.mount.request import Request

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.model import ObjectReader
    from rwmfs.buffer_pool import Pool
    from rwmfs.cache import DiskCache
    from rwmfs.tree import Contents


def expect_questions() -> None:
    """Let SIGUSR1, which asks a mount what it has done, be harmless until there is one to answer.

    To be called before the process forks, or there is a moment in which it kills the child.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def serve_mount(request: Request, ready: Callable[[dict[str, Any]], None]) -> None:
    """Mount, call ``ready`` with a report, and serve until the end.

    Raises StateNotFound, IndexUnusable, S3Error (the state cannot be read), or MountError.
    """
    from rwm.index import Index
    from rwm.s3 import connect
    from rwmfs.buffer_pool import Pool, idle_part
    from rwmfs.mount import session

    logs.start(request.log_file, stderr=request.foreground, verbose=request.verbose)
    with Index.open(request.config.index_path, readonly=True) as index:
        s3 = connect(*request.config.s3_settings(), attempts=1, read_timeout=request.silence, pool=request.connections)
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
    from rwmfs.cache import DiskCache

    endpoint = request.config.required("s3_endpoint_url")
    return DiskCache(request.cache_dir, request.cache_size, endpoint, request.bucket, pool.allocate)


def _one(index: Index, source: ObjectReader, bucket: str, at: str) -> tuple[Contents, dict[str, Any]]:
    """The state that is meant, and what there is to say of it."""
    from rwmfs.mount.readable import check_readable
    from rwmfs.tree import SingleState

    info = index.resolve(at, bucket)
    state = index.tree(info)
    check_readable(state, source)
    report = state_json(info) | {"hidden_keys": state.hidden_count(), "trust": index.trust(info)}
    return SingleState(state, index.trust), report


def _all(index: Index, source: ObjectReader, bucket: str) -> tuple[Contents, dict[str, Any]]:
    """All states of the bucket; the one that ``latest`` means is looked at."""
    from rwmfs.mount.readable import check_readable
    from rwmfs.tree import Browse

    shown = Browse(index, bucket)
    recorded = shown.recorded()
    if recorded.newest is None:
        index.resolve("latest", bucket)  # which says what to do
    if recorded.latest is not None:
        check_readable(index.tree(recorded.latest), source)
    trust = Counter(state.trust for state in index.recorded(bucket))
    return shown, {"bucket": bucket, "states": len(recorded.ids), "trust": dict(trust)}
