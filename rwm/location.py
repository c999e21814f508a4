"""A location: a place in a bucket, its root or a prefix. A restic repository is at a location. Pure.

Written ``bucket`` or ``bucket/prefix``; this module is the only one that reads that form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from rwm.errors import UsageError
from rwm.layout import is_own_key
from rwm.names import component_hidden_reason

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)  # as lenient as botocore and old buckets need
_URL = re.compile(r"(?:(?:s3:)?https?://[^/]*/?|s3://|s3:)(?P<path>.*)", re.DOTALL)  # of restic, aws and browsers
_FORM = "write BUCKET or BUCKET/PREFIX, as bucket1/host1"
_KEY_MAX = 1024  # bytes of a key in S3
_LONGEST_KEY = 128  # bytes that RWM and restic may add to a prefix: a state file's name is the longest


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A bucket's root (``prefix`` is empty) or a prefix in it, which ends in a slash: every component is a name."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``bucket`` or ``bucket/prefix``, with or without a last slash. Raises UsageError."""
        if url := _URL.fullmatch(text):
            raise UsageError("a URL is no location: the server is s3_endpoint_url", hint=_hint_for_url(url["path"]))
        bucket, slash, rest = text.partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise _bad(text, f"{bucket!r} is no bucket name" if bucket else "it begins without a bucket name")
        return cls(bucket, parse_prefix(rest, text) if slash else "")

    def __str__(self) -> str:
        return f"{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def described(self) -> str:
        """The location within a sentence: ``bucket bucket1``, ``bucket1/host1``."""
        return str(self) if self.prefix else f"bucket {self.bucket}"

    def key(self, name: str) -> str:
        """The key of ``name`` below the location."""
        return self.prefix + name

    def covers(self, other: Location) -> bool:
        """Whether the other location is this one or below it."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)

    def overlaps(self, other: Location) -> bool:
        """Whether one of the two covers the other."""
        return self.covers(other) or other.covers(self)


def parse_prefix(text: str, whole: str | None = None) -> str:
    """A prefix with its last slash; empty for an empty text. ``whole`` is the text to name in an error.

    Raises UsageError for a prefix that is no path: empty components, ``.``, ``..``, and what no filesystem can show.
    """
    whole = text if whole is None else whole
    if not text:
        return ""
    names = text.removesuffix("/").split("/")
    for name in names:
        if (reason := component_hidden_reason(name)) is not None:
            raise _bad(whole, f"{reason.value} in its prefix")
    prefix = "/".join(names) + "/"
    if is_own_key(prefix):
        raise _bad(whole, "RWM keeps its own objects there")
    if len(prefix.encode()) > _KEY_MAX - _LONGEST_KEY:
        raise _bad(whole, f"its prefix is longer than {_KEY_MAX - _LONGEST_KEY} bytes")
    return prefix


def _bad(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is no location: {why}", hint=_FORM)


def _hint_for_url(path: str) -> str:
    """What to write instead of a URL with this path."""
    try:
        return f"write {Location.parse(path)}"
    except UsageError:
        return _FORM
