"""Restore a state into a directory: one file for each key, verified as it is downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

from rwm.errors import BadResponse, RwmError, Unreachable
from rwm.model import Entry, StateTree
from rwm.names import path_below
from rwm.restic import expected_sha256
from rwm.restore.part import StatePart
from rwm.restore.private_directory import create_file, make_directories, open_private
from rwm.restore.transfer import Progress, RestoreResult, transfer_entries
from rwm.s3 import S3

HIDDEN = ".rwm-hidden"
"""Directory for hidden keys: files named by the SHA-256 of the key, and ``keys.jsonl``, which maps them to keys.

A state that has this name itself gets ``.rwm-hidden-1``, or the next free number.
"""

BODY_ATTEMPTS = 4
"""Download attempts for a file whose body is cut off."""


def restore_to_directory(
    s3: S3, part: StatePart, directory: Path, progress: Progress = lambda count: None
) -> RestoreResult:
    """Download every entry of the part below ``directory``, which must be empty or missing.

    Files have mode 0600, directories 0700. Nothing is written outside, whatever the keys are: the directory must be
    our own and not writable by others, and it is held open, so that no symbolic link can replace it or anything below.
    An object that cannot be read or has wrong content becomes a failure, and leaves no file. Raises Refused for an
    unsuitable directory, and errors of S3 or of the filesystem that concern every object.
    """
    tree = part.tree()
    hidden = set(tree.hidden_keys())
    result = RestoreResult(hidden=len(hidden), hidden_directory=_unused_name(tree))
    stop = threading.Event()
    with open_private(directory) as root:
        if hidden:
            _create_hidden_directory(root / result.hidden_directory, hidden)

        def download(entry: Entry) -> None:
            if entry.key in hidden:
                path = root / result.hidden_directory / _hidden_name(entry.key)
            else:
                path = path_below(root, part.relative(entry.key))
                make_directories(root, path.parent)
            _download(s3, part.info.bucket, entry, path, stop)

        transfer_entries(part.entries(), download, result, progress, stop)
    return result


def check_target(directory: Path) -> None:
    """Make the directory if it is missing. Raises what :func:`restore_to_directory` raises for an unsuitable one."""
    with open_private(directory):
        pass


def _unused_name(tree: StateTree) -> str:
    """A name for the directory of hidden keys that is not in the root of what is restored."""
    names = (f"{HIDDEN}-{n}" if n else HIDDEN for n in count())
    return next(name for name in names if tree.child(tree.root, name) is None)


def _create_hidden_directory(directory: Path, hidden: set[str]) -> None:
    try:
        directory.mkdir(mode=0o700)
        with create_file(directory / "keys.jsonl") as file:
            for key in sorted(hidden):
                file.write(json.dumps({"file": _hidden_name(key), "key": key}).encode() + b"\n")
    except OSError as error:
        raise RwmError(f"{directory.name}/keys.jsonl: {error.strerror}") from error


def _hidden_name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _download(s3: S3, bucket: str, entry: Entry, path: Path, stop: threading.Event) -> None:
    """Write the entry's version to ``path``, or raise and leave no file."""
    file = create_file(path)
    try:
        with file:
            for attempt in range(BODY_ATTEMPTS):
                try:
                    _verify(entry, *_write(s3.stream(bucket, entry.key, entry.version_id), file))
                    break
                except Unreachable:  # the SDK retries up to the response headers, not the body
                    wait = random.uniform(0.1, 0.2) * 2**attempt  # noqa: S311 - jitter
                    if attempt == BODY_ATTEMPTS - 1 or stop.wait(wait):
                        raise
                    file.seek(0)
                    file.truncate()
        os.utime(path, ns=(entry.last_modified * 1_000_000,) * 2)
    except BaseException:
        path.unlink()
        raise


def _write(chunks: Iterator[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Write all chunks; return their size in bytes and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _verify(entry: Entry, size: int, sha256: str) -> None:
    if size != entry.size:
        raise BadResponse(f"{size} bytes received, the state has {entry.size}")
    expected = expected_sha256(entry.key)
    if expected and expected != sha256:
        raise BadResponse(f"the content does not match its name (its SHA-256 is {sha256})")
