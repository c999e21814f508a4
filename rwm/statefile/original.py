"""State files of the original tool: ``rwm/state_<time>.json.gz`` in the bucket. They are only read. Pure.

One JSON object, compressed: ``bucket_name``, ``bucket_acl``, ``bucket_policy``, ``time_start``, ``time_end``, and
``versions`` and ``delete_markers`` as boto3 lists them, with times as text. Its state consists of the latest versions,
as of the second of ``time_start``.

The original wrote ``time_start`` in local time without a zone, and the zone only in the file name. So the reader needs
the name; without a zone in either, the time is taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rwm.errors import BadState
from rwm.layout import OWN_PREFIX
from rwm.model import Change, Entry, StateInfo
from rwm.statefile.canonical import INTEGER_LIMIT, TIME_LIMIT
from rwm.statefile.json_stream import members
from rwm.times import SECOND, parse_iso

_VERSIONS = "versions"
_LISTS = (_VERSIONS, "delete_markers")
_HEADER = ("bucket_name", "time_start")
_NAME = re.compile(r"(?:.*/)?state_([^/]+)\.json\.gz", re.DOTALL)
_ZONE = re.compile(r"(?:Z|UTC|[+-]\d\d:?\d\d)$", re.ASCII)


class OriginalState:
    """A state of the original tool, read once, as a stream in constant memory.

    ``bucket`` and ``captured_at`` are set at the end of :meth:`latest`, because they may be last in the file.
    """

    def __init__(self, content: Iterable[bytes], name: str = "") -> None:
        self.bucket = ""
        self.captured_at = 0
        self._content = content
        self._name = name
        self._header: dict[str, Any] = {}
        self._last = ("", 0, "")

    def latest(self) -> Iterator[Change]:
        """The latest of each key, in no order: a version's entry, or None for a delete marker.

        Can be read once. RWM's own objects are left out. Raises BadState at the first fault; the results before it must
        be discarded then. The caller must check that no key is repeated, and raise :meth:`twice`.
        """
        for name, number, value in members(self._content, _LISTS):
            if number is None:
                self._keep_header(name, value)
            elif _is_latest(name, number, value):
                key = value["Key"]
                self._last = (name, number, key)
                yield Change(key, _entry(value, number) if name == _VERSIONS else None)
        self._read_header()

    def info(self, objects: int, size: int) -> StateInfo:
        """The header of the state with these totals, without its id."""
        if size >= INTEGER_LIMIT:
            raise BadState("the sum of all sizes is too large")
        return StateInfo("", self.bucket, self.captured_at, "original", objects, size)

    def twice(self) -> BadState:
        """The error for a repeated key, made before :meth:`latest` continues."""
        name, number, key = self._last
        return BadState(f"{name}[{number}]: a second latest version of {key!r}")

    def _keep_header(self, name: str, value: object) -> None:
        if name in _LISTS and value is not None:
            raise BadState(f"{name} is not a list")
        if name in _HEADER:
            self._header[name] = value

    def _read_header(self) -> None:
        bucket = self._header.get("bucket_name")
        if type(bucket) is not str or not bucket:
            raise BadState("not a state file of the original tool: it has no bucket_name")
        _check_unicode(bucket, "bucket_name")
        self.captured_at = _start(self._header.get("time_start"), self._name)
        self.bucket = bucket


def is_original_key(key: str) -> bool:
    """Whether the key has the form of a state file of the original tool."""
    return key.startswith(OWN_PREFIX) and "/" not in key[len(OWN_PREFIX) :] and _time_in(key) is not None


def _start(text: object, name: str) -> int:
    """The second in which the listing started."""
    if type(text) is not str:
        raise BadState("not a state file of the original tool: it has no time_start")
    zone = _ZONE.search(_time_in(name) or "")
    if zone and not _ZONE.search(text.strip()):
        text = text.strip() + zone[0]
    return _time(text, "time_start") // SECOND * SECOND


def _time_in(name: str) -> str | None:
    """The time in the name of a state file; None if it has none."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    try:
        parse_iso(match[1])
    except ValueError:
        return None
    return match[1]


def _time(text: object, what: str) -> int:
    if type(text) is not str:
        raise BadState(f"{what} is not a time")
    try:
        time = parse_iso(text)
    except ValueError as error:
        raise BadState(f"{what} is not a time: {text[:40]!r}") from error
    if not 0 <= time < TIME_LIMIT:
        raise BadState(f"{what} is not between 1970 and 6000: {text[:40]!r}")
    return time


def _is_latest(name: str, number: int, value: Any) -> bool:
    """Whether an element of a list is the latest of its key, and the key can be in a state."""
    if type(value) is not dict or type(value.get("Key")) is not str or not value["Key"]:
        raise BadState(f"{name}[{number}] has no Key")
    if type(value.get("IsLatest")) is not bool:
        raise BadState(f"{name}[{number}] does not say whether it IsLatest")
    if not value["IsLatest"] or value["Key"].startswith(OWN_PREFIX):
        return False
    _check_unicode(value["Key"], f"{name}[{number}]: Key")
    return True


def _entry(version: dict[str, Any], number: int) -> Entry:
    where = f"{_VERSIONS}[{number}]"
    version_id, size, etag = version.get("VersionId"), version.get("Size"), version.get("ETag")
    if version_id is not None and (type(version_id) is not str or not version_id):
        raise BadState(f"{where}: VersionId is not a version id")
    if type(size) is not int or not 0 <= size < INTEGER_LIMIT:
        raise BadState(f"{where}: Size is not a size")
    if etag is not None and type(etag) is not str:
        raise BadState(f"{where}: ETag is not text")
    _check_unicode(version_id or "", f"{where}: VersionId")
    _check_unicode(etag or "", f"{where}: ETag")
    modified = _time(version.get("LastModified"), f"{where}: LastModified")
    return Entry(version["Key"], version_id or "null", size, (etag or "").strip('"'), modified)


def _check_unicode(text: str, what: str) -> None:
    """Refuse a lone surrogate, which JSON can express but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadState(f"{what} is not Unicode") from error
