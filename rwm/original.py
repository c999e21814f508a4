"""State files of the original tool: ``rwm/state_<time>.json.gz`` in the bucket. Pure; they are only read.

One JSON object, compressed: ``bucket_name``, ``bucket_acl``, ``bucket_policy``, ``time_start``, ``time_end``, and
``versions`` and ``delete_markers`` as boto3 lists them, with times as text. A state made of it holds the versions that
were the latest, and is as of the second of ``time_start``.

The original wrote ``time_start`` in local time without a zone, and the zone only in the name of the file. So who knows
the name says it; without a zone in either, the time is taken as UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from rwm.errors import BadState
from rwm.model import OWN_PREFIX, Entry, StateInfo
from rwm.statefile import NUMBERS, TIMES, identified
from rwm.times import SECOND, parse_iso
from rwm.unpack import pieces

SIZE_MAX = 1 << 30
"""Bytes such a file may have when unpacked. It is read as a whole and takes several times as much memory; 1 GiB is
about two million versions."""

_NAME = re.compile(r"(?:.*/)?state_([^/]+)\.json\.gz", re.DOTALL)
_ZONE = re.compile(r"(?:Z|UTC|[+-]\d\d:?\d\d)$", re.ASCII)


@dataclass(frozen=True)
class OriginalState:
    """A state of the original tool. ``info.id`` is that of RWM's canonical form of it."""

    info: StateInfo
    listed: list[Entry]

    @property
    def id(self) -> str:
        """The state id."""
        return self.info.id

    def entries(self) -> Iterator[Entry]:
        """The entries, sorted by key."""
        return iter(self.listed)


def is_original_key(key: str) -> bool:
    """Whether an object of that key is a state file of the original tool, by its name."""
    return key.startswith(OWN_PREFIX) and "/" not in key[len(OWN_PREFIX) :] and _time_in(key) is not None


def read_original(file: IO[bytes], name: str = "") -> tuple[StateInfo, list[Entry]]:
    """The state, with its id, and its entries sorted by key.

    ``name`` is the key or the path of the file. The same file of the same name always gives the same state. Raises
    BadState for anything that is not such a file.
    """
    state = read_pieces(pieces(file), name)
    return state.info, state.listed


def read_pieces(content: Iterable[bytes], name: str = "") -> OriginalState:
    """As :func:`read_original`, of content that is unpacked already."""
    document = _document(content)
    bucket = document.get("bucket_name")
    if type(bucket) is not str or not bucket:
        raise BadState("not a state file of the original tool: it has no bucket_name")
    entries = _latest(document)
    start = _start(document, name)
    info = StateInfo("", bucket, start, "original", len(entries), sum(entry.size for entry in entries))
    try:
        return OriginalState(identified(info, entries), entries)
    except UnicodeEncodeError as error:
        raise BadState("a text in the file is no Unicode") from error


def _document(content: Iterable[bytes]) -> dict[str, Any]:
    """The JSON object that the file is."""
    data = bytearray()
    for piece in content:
        data += piece
        if len(data) > SIZE_MAX:
            raise BadState(f"the file has more than {SIZE_MAX >> 20} MiB when unpacked")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise BadState(f"not a JSON document: {str(error)[:100]}") from error
    if type(document) is not dict:
        raise BadState("not a state file of the original tool: no JSON object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field is there twice")
    return value


def _refused(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _start(document: dict[str, Any], name: str) -> int:
    """The second in which the listing began."""
    text = document.get("time_start")
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
    if not 0 <= time < TIMES:
        raise BadState(f"{what} is not between 1970 and 6000: {text[:40]!r}")
    return time


def _latest(document: dict[str, Any]) -> list[Entry]:
    """The versions that were the latest of their keys, sorted by key, without RWM's own objects."""
    entries: dict[str, Entry] = {}
    for number, version in _listed(document, "versions"):
        if version["IsLatest"] and not version["Key"].startswith(OWN_PREFIX):
            entry = _entry(version, f"versions[{number}]")
            if entry.key in entries:
                raise BadState(f"versions[{number}]: a second latest version of {entry.key!r}")
            entries[entry.key] = entry
    for number, marker in _listed(document, "delete_markers"):
        if marker["IsLatest"] and marker["Key"] in entries:
            raise BadState(f"delete_markers[{number}]: a second latest version of {marker['Key']!r}")
    return [entries[key] for key in sorted(entries)]


def _listed(document: dict[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The members of a list, which may be missing; each has a key and says whether it is the latest."""
    values = document.get(name)
    if values is None:
        return
    if type(values) is not list:
        raise BadState(f"{name} is no list")
    for number, value in enumerate(values):
        if type(value) is not dict or type(value.get("Key")) is not str or not value["Key"]:
            raise BadState(f"{name}[{number}] has no Key")
        if type(value.get("IsLatest")) is not bool:
            raise BadState(f"{name}[{number}] does not say whether it IsLatest")
        yield number, value


def _entry(version: dict[str, Any], where: str) -> Entry:
    version_id, size, etag = version.get("VersionId"), version.get("Size"), version.get("ETag")
    if version_id is not None and (type(version_id) is not str or not version_id):
        raise BadState(f"{where}: VersionId is no version id")
    if type(size) is not int or not 0 <= size < NUMBERS:
        raise BadState(f"{where}: Size is no size")
    if etag is not None and type(etag) is not str:
        raise BadState(f"{where}: ETag is no text")
    modified = _time(version.get("LastModified"), f"{where}: LastModified")
    return Entry(version["Key"], version_id or "null", size, (etag or "").strip('"'), modified)
