"""State files of the original tool: ``rwm/state_<time>.json.gz`` in the bucket. Pure; they are only read.

One JSON object, compressed: ``bucket_name``, ``bucket_acl``, ``bucket_policy``, ``time_start``, ``time_end``, and
``versions`` and ``delete_markers`` as boto3 lists them, with times as text. A state made of it holds the versions that
were the latest, and is as of the second of ``time_start``.

The original wrote ``time_start`` in local time without a zone, and the zone only in the name of the file. So who knows
the name says it; without a zone in either, the time is taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from rwm.errors import BadState
from rwm.model import OWN_PREFIX, Change, Entry, StateInfo
from rwm.statefile.canonical import INTEGER_LIMIT, TIME_LIMIT, identified
from rwm.statefile.decompress import pieces
from rwm.statefile.json_stream import members
from rwm.times import SECOND, parse_iso

_VERSIONS = "versions"
_LISTS = (_VERSIONS, "delete_markers")
_HEADER = ("bucket_name", "time_start")
_NAME = re.compile(r"(?:.*/)?state_([^/]+)\.json\.gz", re.DOTALL)
_ZONE = re.compile(r"(?:Z|UTC|[+-]\d\d:?\d\d)$", re.ASCII)


class OriginalState:
    """A state of the original tool, read once, in memory that does not grow with it. It has no id until all is read.

    ``bucket`` and ``captured_at`` are known when :meth:`latest` is at its end: the file may say them last.
    """

    def __init__(self, content: Iterable[bytes], name: str = "") -> None:
        self.bucket = ""
        self.captured_at = 0
        self._content = content
        self._name = name
        self._header: dict[str, Any] = {}
        self._last = ("", 0, "")

    def latest(self) -> Iterator[Change]:
        """What is the latest of its key, in no order: a version's entry, or None for a delete marker.

        Can be asked for once. RWM's own objects are left out. Raises BadState at the first fault; what was given
        before is to be forgotten then. No key may come twice, which the caller has to see to: see :meth:`twice`.
        """
        for name, number, value in members(self._content, _LISTS):
            if number is None:
                self._note(name, value)
            elif _is_latest(name, number, value):
                key = value["Key"]
                self._last = (name, number, key)
                yield Change(key, _entry(value, number) if name == _VERSIONS else None)
        self._conclude()

    def info(self, objects: int, size: int) -> StateInfo:
        """The header of the state, still without its id, when it has so many entries of so many bytes."""
        if size >= INTEGER_LIMIT:
            raise BadState("the sum of all sizes is no size")
        return StateInfo("", self.bucket, self.captured_at, "original", objects, size)

    def twice(self) -> BadState:
        """The error for a key that had come before, to be asked for before :meth:`latest` goes on."""
        name, number, key = self._last
        return BadState(f"{name}[{number}]: a second latest version of {key!r}")

    def _note(self, name: str, value: object) -> None:
        if name in _LISTS and value is not None:
            raise BadState(f"{name} is no list")
        if name in _HEADER:
            self._header[name] = value

    def _conclude(self) -> None:
        bucket = self._header.get("bucket_name")
        if type(bucket) is not str or not bucket:
            raise BadState("not a state file of the original tool: it has no bucket_name")
        _unicode(bucket, "bucket_name")
        self.captured_at = _start(self._header.get("time_start"), self._name)
        self.bucket = bucket


def is_original_key(key: str) -> bool:
    """Whether an object of that key is a state file of the original tool, by its name."""
    return key.startswith(OWN_PREFIX) and "/" not in key[len(OWN_PREFIX) :] and _time_in(key) is not None


def read_original(file: IO[bytes], name: str = "") -> tuple[StateInfo, list[Entry]]:
    """The state, with its id, and its entries sorted by key; all in memory.

    ``name`` is the key or the path of the file. The same file of the same name always gives the same state. Raises
    BadState for anything that is not such a file.
    """
    state = OriginalState(pieces(file), name)
    latest: dict[str, Entry | None] = {}
    for key, entry in state.latest():
        if key in latest:
            raise state.twice()
        latest[key] = entry
    entries = [entry for _, entry in sorted(latest.items()) if entry is not None]
    return identified(state.info(len(entries), sum(entry.size for entry in entries)), entries), entries


def _start(text: object, name: str) -> int:
    """The second in which the listing began."""
    if type(text) is not str:
        raise BadState("not a state file of the original tool: it has no time_start")
    zone = _ZONE.search(_time_in(name) or "")
    if zone and not _ZONE.search(text.strip()):
        text = text.strip() + zone[0]
    return _time(text, "time_start") // SECOND * SECOND


def _time_in(name: str) -> str | None:
    """The time in the name of such a file."""
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
        raise BadState(f"{what} is no time")
    try:
        time = parse_iso(text)
    except ValueError as error:
        raise BadState(f"{what} is no time: {text[:40]!r}") from error
    if not 0 <= time < TIME_LIMIT:
        raise BadState(f"{what} is not between 1970 and 6000: {text[:40]!r}")
    return time


def _is_latest(name: str, number: int, value: Any) -> bool:
    """Whether an element of a list is the latest of a key that states have."""
    if type(value) is not dict or type(value.get("Key")) is not str or not value["Key"]:
        raise BadState(f"{name}[{number}] has no Key")
    if type(value.get("IsLatest")) is not bool:
        raise BadState(f"{name}[{number}] does not say whether it IsLatest")
    if not value["IsLatest"] or value["Key"].startswith(OWN_PREFIX):
        return False
    _unicode(value["Key"], f"{name}[{number}]: Key")
    return True


def _entry(version: dict[str, Any], number: int) -> Entry:
    where = f"{_VERSIONS}[{number}]"
    version_id, size, etag = version.get("VersionId"), version.get("Size"), version.get("ETag")
    if version_id is not None and (type(version_id) is not str or not version_id):
        raise BadState(f"{where}: VersionId is no version id")
    if type(size) is not int or not 0 <= size < INTEGER_LIMIT:
        raise BadState(f"{where}: Size is no size")
    if etag is not None and type(etag) is not str:
        raise BadState(f"{where}: ETag is no text")
    _unicode(version_id or "", f"{where}: VersionId")
    _unicode(etag or "", f"{where}: ETag")
    modified = _time(version.get("LastModified"), f"{where}: LastModified")
    return Entry(version["Key"], version_id or "null", size, (etag or "").strip('"'), modified)


def _unicode(text: str, what: str) -> None:
    """Half of a surrogate pair can be written in JSON, but neither hashed nor kept."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadState(f"{what} is no Unicode") from error
