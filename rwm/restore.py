"""Restore: make a state real again, as files in a directory or as objects in another bucket."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from rwm.content import expected_sha256
from rwm.errors import BadResponse, NotFound, Refused, RwmError, UsageError
from rwm.histories import histories
from rwm.index import Index
from rwm.model import Entry, StateInfo
from rwm.names import safe_path
from rwm.s3 import S3

THREADS = 8
HIDDEN = ".rwm-hidden"
"""Where keys go that have no path: each as the SHA-256 of its key, with ``keys.jsonl`` to tell which is which."""

Progress = Callable[[int], None]


@dataclass
class RestoreResult:
    """What was restored; ``failures`` are (key, why). Hidden keys count as objects too."""

    objects: int = 0
    bytes: int = 0
    hidden: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def to_directory(
    s3: S3, index: Index, info: StateInfo, directory: Path, progress: Progress = lambda count: None
) -> RestoreResult:
    """Download every entry of the state below ``directory``, which must be empty or not there yet.

    Files are 0600, directories 0700. Nothing is written outside, whatever the keys say. An object that is gone or
    whose bytes are wrong becomes a failure, and no file of that name is left. Raises Refused for a directory that is
    in use, and the errors of S3 that would meet every object alike.
    """
    _make_empty(directory)
    hidden = set(index.tree(info).hidden_keys())
    if hidden:
        (directory / HIDDEN).mkdir(mode=0o700)
        with _create(directory / HIDDEN / "keys.jsonl") as file:
            for key in sorted(hidden):
                file.write(json.dumps({"file": _hidden_name(key), "key": key}).encode() + b"\n")

    def one(entry: Entry) -> None:
        if entry.key in hidden:
            path = directory / HIDDEN / _hidden_name(entry.key)
        else:
            path = safe_path(directory, entry.key)
            _make_directories(directory, path.parent)
        _download(s3, info.bucket, entry, path)

    result = RestoreResult(hidden=len(hidden))
    _all(index.entries(info), one, result, progress)
    return result


def _make_empty(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        in_use = any(directory.iterdir())
    except OSError as error:
        raise UsageError(f"directory {directory}: {error.strerror}", hint="name an empty or a new directory") from error
    if in_use:
        raise Refused(f"directory {directory} is not empty", hint="name an empty or a new directory")


def _make_directories(root: Path, directory: Path) -> None:
    """What is missing of ``directory`` below ``root``, each 0700: with parents=True those above would not be."""
    if directory.is_dir():
        return
    below = directory.relative_to(root)
    for path in (*reversed(below.parents), below):
        (root / path).mkdir(mode=0o700, exist_ok=True)


def _hidden_name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _create(path: Path) -> IO[bytes]:
    """A new file, 0600; never one that is there already, nor what a symbolic link points to."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _download(s3: S3, bucket: str, entry: Entry, path: Path) -> None:
    """Write the entry's version to ``path``, or raise and leave nothing there."""
    digest, size = hashlib.sha256(), 0
    with _create(path) as file:
        try:
            for chunk in s3.stream(bucket, entry.key, entry.version_id):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            _verify(entry, size, digest.hexdigest())
        except BaseException:
            path.unlink()
            raise
    os.utime(path, ns=(entry.last_modified * 1_000_000,) * 2)


def _verify(entry: Entry, size: int, sha256: str) -> None:
    if size != entry.size:
        raise BadResponse(f"{size} bytes came, the state has {entry.size}")
    expected = expected_sha256(entry.key)
    if expected and expected != sha256:
        raise BadResponse(f"the content is not what its name says (SHA-256 {sha256})")


def to_bucket(
    s3: S3, index: Index, info: StateInfo, target: str, progress: Progress = lambda count: None
) -> RestoreResult:
    """Copy every entry of the state into ``target``, on the server; it must be empty, or is made (versioned).

    What arrived is compared with the state in the end. Raises Refused for a bucket that holds anything.
    """
    if target == info.bucket:
        raise UsageError(f"bucket {target} is the state's own", hint="name another bucket")
    if not s3.bucket_exists(target):
        s3.create_bucket(target)
        s3.enable_versioning(target)
    elif next(s3.versions(target, page_size=1), None) is not None:
        raise Refused(f"bucket {target} is not empty", hint="name an empty or a new bucket")
    result = RestoreResult()
    _all(index.entries(info), lambda entry: s3.copy(info.bucket, entry.key, entry.version_id, target), result, progress)
    failed = {key for key, _ in result.failures}
    arrived = {
        version.key: version.size
        for part in histories(s3, target)
        for history in part
        for version in history[:1]
        if not version.is_marker
    }
    for entry in index.entries(info):
        if entry.key not in failed and arrived.get(entry.key) != entry.size:
            result.failures.append((entry.key, f"{arrived.get(entry.key)} bytes arrived of {entry.size}"))
            result.objects -= 1
            result.bytes -= entry.size
    return result


def _all(entries: Iterator[Entry], one: Callable[[Entry], None], result: RestoreResult, progress: Progress) -> None:
    """Do ``one`` for every entry, a few at a time. A fault of one object is noted, one that meets all is raised."""
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in iter(lambda: list(islice(entries, 16 * THREADS)), []):
            running = [(entry, pool.submit(one, entry)) for entry in batch]
            for entry, future in running:
                try:
                    future.result()
                except (NotFound, BadResponse, FileExistsError) as error:
                    result.failures.append((entry.key, str(error)))
                except OSError as error:
                    raise RwmError(f"{error.filename or entry.key}: {error.strerror}") from error
                else:
                    result.objects += 1
                    result.bytes += entry.size
                progress(1)
