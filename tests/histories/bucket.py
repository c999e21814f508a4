"""A versioned bucket in memory: puts, deletions and the version listing that follows from them, with a server's clock.

Time is ``now`` in milliseconds; callers advance it. A version is listed with the time that the server's clock gives it:

- ``exact``: the millisecond, in order. What a single Ceph RGW lists for requests that do not overlap.
- ``seconds``: the whole second, as SeaweedFS lists.
- ``jitter``: Ceph RGW with concurrent requests. A version has a time somewhere within its request, so versions of
  requests that overlap have times in any order. Requests of one client that follow each other stay in order.
- ``gateways``: several RGWs behind one address, whose clocks differ by some milliseconds: even requests of one client
  that follow each other may be listed in the wrong order, by up to :data:`GATEWAY_SKEW`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Literal

from rwm.model import ObjectVersion

Versioning = Literal["off", "enabled", "suspended"]

ClockModel = Literal["exact", "seconds", "jitter", "gateways"]
CLOCK_MODELS: tuple[ClockModel, ...] = ("exact", "seconds", "jitter", "gateways")

JITTER = 20
"""Milliseconds by which overlapping requests may be listed out of order (``jitter``)."""

GATEWAY_SKEW = 40
"""The largest difference in milliseconds between the clocks of two gateways (``gateways``)."""

NULL = "null"
"""The version id of what was written without versioning."""

_VERSION_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"


class Bucket:
    """Versions and markers by key.

    ``versioning`` may be changed at any time. ``off``: an object has one version, ``null``, and its removal leaves
    nothing. ``suspended``: the ``null`` version or marker of a key is replaced, others stay.

    ``repeats_markers``: whether deleting a deleted key adds a marker. SeaweedFS adds one, Ceph RGW none.
    ``lists_null_last``: whether a ``null`` version comes last of its key in a listing, even if it is the latest.
    SeaweedFS does that, Ceph RGW lists it in its place.
    ``opaque_etags``: each write has another ETag, even of the same content, as with SSE-KMS on AWS.
    """

    def __init__(
        self,
        clock: ClockModel = "exact",
        seed: int = 0,
        *,
        now: int = 1_767_225_600_000,
        name: str = "bucket1",
        repeats_markers: bool = False,
        lists_null_last: bool = False,
        opaque_etags: bool = False,
    ) -> None:
        self.name = name
        self.clock = clock
        self.now = now
        self.versioning: Versioning = "enabled"
        self.repeats_markers = repeats_markers
        self.lists_null_last = lists_null_last
        self.opaque_etags = opaque_etags
        self._random = random.Random(seed)
        self._skews = [self._random.randrange(GATEWAY_SKEW) for _ in range(3)]
        self._histories: dict[str, list[ObjectVersion]] = {}
        """Oldest first; ``is_latest`` is set by the listing."""
        self._current: dict[str, dict[str, None]] = {}
        """Current keys by directory, in the order in which they became current."""

    # --- requests ------------------------------------------------------------------------------------

    def put(
        self, key: str, size: int, content: str = "", *, etag: str | None = None, duration: int = 0, parts: int = 0
    ) -> ObjectVersion:
        """Write a version now. ``content`` stands for the bytes: equal contents of one key have equal ETags.

        ``parts`` makes the ETag that of a multipart upload; ``etag`` sets it. ``duration`` is that of the request, for
        the clock ``jitter``.
        """
        if etag is None:
            etag = etag_of(key, f"{self._random.random()}" if self.opaque_etags else content, parts)
        version_id = self._new_version_id()
        return self._append(ObjectVersion(key, version_id, False, False, size, etag, self._time(duration)))

    def delete(self, key: str, *, duration: int = 0) -> ObjectVersion | None:
        """Put a delete marker now; None where the server adds none."""
        if self.versioning == "off":
            self._remove_null(key)
            return None
        if self.is_deleted(key) and not self.repeats_markers:
            return None
        version_id = self._new_version_id()
        return self._append(ObjectVersion(key, version_id, False, True, 0, "", self._time(duration)))

    def remove_version(self, key: str, version_id: str) -> None:
        """Remove an exact version or marker, as an admin or a lifecycle rule does. Nothing of it stays."""
        left = [version for version in self._histories.get(key, []) if version.version_id != version_id]
        if left:
            self._histories[key] = left
        else:
            self._histories.pop(key, None)
        self._note_current(key)

    def add(self, version: ObjectVersion) -> ObjectVersion:
        """Append any version or marker as the newest of its key, with the id and time that it has."""
        return self._append(version)

    # --- reading -------------------------------------------------------------------------------------

    def keys(self, prefix: str = "") -> list[str]:
        """The current keys below a prefix, directory by directory, in the order in which they became current."""
        if prefix and prefix in self._current:  # as ``index/``, or ``data/`` with all of its directories
            return list(self._current[prefix])
        return [key for keys in self._current.values() for key in keys if key.startswith(prefix)]

    def is_current(self, key: str) -> bool:
        """Whether a plain listing shows the key."""
        return key in self._histories and not self._histories[key][-1].is_marker

    def is_deleted(self, key: str) -> bool:
        """Whether the newest entry of the key is a marker."""
        return key in self._histories and self._histories[key][-1].is_marker

    def newest(self, key: str) -> ObjectVersion:
        """The latest entry of a key. Raises KeyError."""
        return self._histories[key][-1]._replace(is_latest=True)

    def history(self, key: str) -> list[ObjectVersion]:
        """The entries of a key, newest first but for ``null`` (see ``lists_null_last``)."""
        newest_first = self._histories.get(key, [])[::-1]
        entries = [version._replace(is_latest=number == 0) for number, version in enumerate(newest_first)]
        if self.lists_null_last:
            entries.sort(key=lambda version: version.version_id == NULL)
        return entries

    def listing(self) -> list[ObjectVersion]:
        """The version listing as a server returns it: keys sorted by byte, newest first, the newest is latest."""
        return list(self)

    def __iter__(self) -> Iterator[ObjectVersion]:
        for key in sorted(self._histories):  # by code point, which is the order of bytes in UTF-8
            yield from self.history(key)

    def __len__(self) -> int:
        return sum(map(len, self._histories.values()))

    # --- inside --------------------------------------------------------------------------------------

    def _append(self, version: ObjectVersion) -> ObjectVersion:
        if version.version_id == NULL:
            self._remove_null(version.key)
        self._histories.setdefault(version.key, []).append(version)
        self._note_current(version.key)
        return version

    def _note_current(self, key: str) -> None:
        keys = self._current.setdefault(_directory(key), {})
        if self.is_current(key):
            keys[key] = None
        else:
            keys.pop(key, None)

    def _remove_null(self, key: str) -> None:
        """A write without versioning replaces the ``null`` version, wherever it is in the history."""
        if key in self._histories:
            self.remove_version(key, NULL)

    def _time(self, duration: int) -> int:
        if self.clock == "seconds":
            return self.now // 1000 * 1000
        if self.clock == "jitter" and duration > 0:
            return self.now - self._random.randrange(min(duration, JITTER) + 1)
        if self.clock == "gateways":
            return self.now - self._random.choice(self._skews)
        return self.now

    def _new_version_id(self) -> str:
        if self.versioning != "enabled":
            return NULL
        bits = self._random.getrandbits(31 * 6)
        return "".join([_VERSION_ALPHABET[bits >> shift & 63] for shift in range(0, 31 * 6, 6)])


def _directory(key: str) -> str:
    """The directory of a key; that of a pack is ``data/``."""
    directory, slash, _ = key.rpartition("/")
    if directory[:-2] == "data/" or directory[:-2].endswith("/data/"):
        directory = directory[:-3]
    return directory + slash


def etag_of(key: str, content: str = "", parts: int = 0) -> str:
    """The ETag of a content: an MD5 sum, with the number of parts for a multipart upload."""
    digest = hashlib.md5(f"{key}\0{content}\0{parts or ''}".encode(errors="surrogatepass"), usedforsecurity=False)
    return f"{digest.hexdigest()}-{parts}" if parts else digest.hexdigest()
