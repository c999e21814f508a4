"""Reading the entries of a version listing by one regular expression instead of an XML parser. Pure.

A server writes all entries of a page in one form: the same elements in the same order. So a pattern is made from the
first ``<Version>`` and the first ``<DeleteMarker>`` of a page. If it matches all entries without a gap, its groups are
what an XML parser would find. Otherwise, or if a text needs an XML parser, :mod:`rwm.s3.listing.pages` uses one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from rwm.errors import BadResponse
from rwm.model import VersionBatch

PLACEHOLDER = b"<Version/>"
"""Stands for the run of entries in the rest of a page."""

_KINDS = ("Version", "DeleteMarker")
_LAYOUT_LIMIT = 4096  # characters of a first entry, which an untrusted server writes
_ELEMENTS_LIMIT = 40
# XML parsers refuse these characters, or change them (a carriage return becomes a line feed).
_CONTROLS = bytes(range(0x09)) + bytes(range(0x0B, 0x20))
_UNPLAIN = _CONTROLS + b'&"'
_TEXT = r"[^<&\x00-\x08\x0b-\x1f]*"
_CAPTURED = "([^<]*)"  # matched in half the time of _TEXT; _check_plain does the rest for a whole column

_KEY, _ID, _LATEST, _MODIFIED, _ETAG, _SIZE, _CLASS = range(7)
_MARKER_FIELDS = {
    "Key": (_KEY, "([^<]+)"),
    "VersionId": (_ID, _CAPTURED),
    "IsLatest": (_LATEST, "(true|false)"),
    "LastModified": (_MODIFIED, _CAPTURED),
}
_VERSION_FIELDS = {
    **_MARKER_FIELDS,
    "Size": (_SIZE, "([0-9]{1,18})"),
    "StorageClass": (_CLASS, f"(?:STANDARD|({_TEXT}))"),
}
_QUOTE = re.compile('<ETag>(&quot;|&#34;|")')
_REFERENCE = re.compile("&(?:(amp|lt|gt|quot|apos)|#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7})));")
_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class NotPlain(Exception):
    """The entries cannot be read by a pattern."""


class Split(NamedTuple):
    """A page: ``run`` from its first entry to the end of its last, and the ``rest`` with a :data:`PLACEHOLDER`.

    ``kinds`` are the names of elements that entries of the run can have.
    """

    run: str
    rest: bytes
    kinds: Sequence[str]


def split(body: bytes) -> Split:
    """Cut the entries out of a page. Raises NotPlain if there are none, UnicodeDecodeError if they are not UTF-8."""
    starts = {kind: at for kind in _KINDS if (at := body.find(f"<{kind}>".encode())) >= 0}
    stops = [at + len(kind) + 3 for kind in starts if (at := body.rfind(f"</{kind}>".encode())) >= 0]
    if not (stops and min(starts.values()) < max(stops)):
        raise NotPlain
    start, stop = min(starts.values()), max(stops)
    return Split(str(memoryview(body)[start:stop], "utf-8"), body[:start] + PLACEHOLDER + body[stop:], [*starts])


def read_run(run: str, kinds: Sequence[str] = _KINDS, *, encoded: bool) -> VersionBatch:
    """The entries, names percent-decoded if they are ``encoded``.

    Raises NotPlain, KeyError or ValueError whenever an XML parser could have another result.
    """
    if ("]" in run and "]]>" in run) or (not run.isascii() and ("\ufffe" in run or "\uffff" in run)):
        raise NotPlain
    layouts = [layout for kind in kinds if (layout := _layout(run, kind))]
    if not layouts:
        raise NotPlain
    # The last group matches from the first text that is not an entry to the end, so only the last match can have it.
    rows = re.findall("|".join([*(layout.pattern for layout in layouts), r"([\s\S]+)"]), run)
    if rows[-1][-1]:
        raise NotPlain
    columns = list(zip(*rows, strict=True))[:-1]
    fields = _fields(columns, layouts)
    _check_plain(fields[_ID], fields[_MODIFIED], fields[_ETAG])
    markers: Sequence[bool]
    if layouts[0].kind == "DeleteMarker":
        markers = [True] * len(rows)
    elif len(layouts) == 1:
        markers = [False] * len(rows)
    else:
        markers = [not key for key in columns[layouts[0].groups.index(_KEY)]]
    return VersionBatch(
        _names(fields[_KEY], encoded),
        _filled(fields[_ID], "null"),
        list(map("true".__eq__, fields[_LATEST])),
        markers,
        list(map(int, _filled(fields[_SIZE], "0"))),
        fields[_ETAG],
        parse_timestamps(fields[_MODIFIED]),
        [name or None for name in classes] if any(classes := fields[_CLASS]) else None,
    )


def _check_plain(*columns: Sequence[str]) -> None:
    """Raise NotPlain if an XML parser would refuse or change a text of the columns, or strip quotes from it."""
    content = "".join(chain.from_iterable(columns)).encode()
    if len(content.translate(None, _UNPLAIN)) != len(content):
        raise NotPlain


def _filled(column: Sequence[str], default: str) -> Sequence[str]:
    """The column with ``default`` in place of empty texts."""
    return [text or default for text in column] if "" in column else column


# --- the pattern of a page ------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """The pattern of one kind of entry, and which field each of its groups is."""

    kind: str
    pattern: str
    groups: list[int]


def _layout(text: str, kind: str) -> _Layout | None:
    """The layout of the first entry of that kind; None if there is none."""
    start = text.find(f"<{kind}>")
    if start < 0:
        return None
    stop = text.find(f"</{kind}>", start, start + _LAYOUT_LIMIT)
    if stop < 0:
        raise NotPlain
    try:
        first = ET.fromstring(text[start : stop + len(kind) + 3])  # noqa: S314 - 4 KiB, no document type
    except ET.ParseError:
        raise NotPlain from None
    if sum(1 for _ in first.iter()) > _ELEMENTS_LIMIT:
        raise NotPlain
    fields = _version_fields(text[start:stop]) if kind == "Version" else _MARKER_FIELDS
    groups: list[int] = []
    pattern = "".join(_element(child, fields, groups) for child in first)
    needed = range(_CLASS) if kind == "Version" else range(_ETAG)
    if sorted(groups) not in ([*needed], [*needed, _CLASS]):
        raise NotPlain
    return _Layout(kind, f"<{kind}>{pattern}</{kind}>", groups)


def _version_fields(first: str) -> dict[str, tuple[int, str]]:
    """The fields of versions; ETags in the quotes of the first one, because alternatives take longer to match."""
    found = _QUOTE.search(first)
    quote = found[1] if found else ""
    return {**_VERSION_FIELDS, "ETag": (_ETAG, quote + _CAPTURED + quote)}


def _element(element: ET.Element, fields: dict[str, tuple[int, str]], groups: list[int]) -> str:
    name = re.escape(element.tag)
    if len(element):
        return f"<{name}>{''.join(_element(child, {}, groups) for child in element)}</{name}>"
    pattern = _TEXT
    if element.tag in fields:
        field, pattern = fields[element.tag]
        groups.append(field)
    return f"<{name}>{pattern}</{name}>"


def _fields(columns: Sequence[tuple[str, ...]], layouts: Sequence[_Layout]) -> list[Sequence[str]]:
    """One column for each field, with the entries of both kinds."""
    fields: list[Sequence[str]] = [[""] * len(columns[0])] * 7
    at = 0
    for number, layout in enumerate(layouts):
        for field in layout.groups:
            here = columns[at]
            fields[field] = [one or other for one, other in zip(fields[field], here, strict=True)] if number else here
            at += 1
    return fields


# --- values --------------------------------------------------------------------------------------------------


def _names(texts: Sequence[str], encoded: bool) -> Sequence[str]:
    """Decode all keys of the page as one text, separated by NUL, which no key contains."""
    content = "".join(texts).encode()
    if len(content.translate(None, _CONTROLS)) != len(content):
        raise NotPlain
    joined = "\0".join(texts)
    if "&" in joined:
        joined = _resolve_references(joined)
    if encoded:
        joined = decode_url(joined.replace("%2F", "/"))
    names = joined.split("\0")
    if len(names) != len(texts):
        raise NotPlain
    return names


def _resolve_references(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        name, digits, decimal = found.groups()
        if name:
            return _PREDEFINED[name]
        code = int(digits, 16) if digits else int(decimal)
        if code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF:
            return chr(code)
        raise NotPlain

    if text.count("&") != len(_REFERENCE.findall(text)):
        raise NotPlain
    return _REFERENCE.sub(replace, text)


def decode_url(text: str) -> str:
    """Percent-decode; ``+`` is a space, for servers that encode keys as forms (they send ``+`` as %2B)."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadResponse(f"the key {text} is not UTF-8") from error


_EPOCH = date(1970, 1, 1).toordinal()
# Milliseconds by parts of a time of day. Two small tables stay in the processor's cache; one of all seconds does not.
_MINUTES = {f"T{minute // 60:02d}:{minute % 60:02d}": minute * 60_000 for minute in range(24 * 60)}
_SECONDS = {f":{second:02d}": second * 1000 for second in range(60)}


class _Days(dict[str, int]):
    """Milliseconds at the start of a day, by its date. Raises ValueError for another text."""

    def __missing__(self, text: str) -> int:
        if len(self) > 100_000:
            self.clear()
        year, month, day = map(int, text.split("-"))
        self[text] = found = (date(year, month, day).toordinal() - _EPOCH) * 86_400_000
        return found


class _Fractions(dict[str, int]):
    """Milliseconds, by the end of a time: ``Z``, or a point, digits of which three count, and ``Z``."""

    def __missing__(self, text: str) -> int:
        if len(self) > 100_000:
            self.clear()
        if text != "Z" and (text[:1] != "." or text[-1:] != "Z"):
            raise ValueError(f"not the end of a UTC time: {text!r}")
        self[text] = found = int((text[1:-1] + "000")[:3])
        return found


_DAYS, _FRACTIONS = _Days(), _Fractions()


def parse_timestamps(texts: Iterable[str]) -> list[int]:
    """Each ``2026-11-23T09:34:50.123Z`` as milliseconds; more digits are cut. Raises ValueError."""
    days, minutes, seconds, fractions = _DAYS, _MINUTES, _SECONDS, _FRACTIONS
    try:
        return [days[text[:10]] + minutes[text[10:16]] + seconds[text[16:19]] + fractions[text[19:]] for text in texts]
    except KeyError as error:
        raise ValueError(f"not a time of day: {error}") from None


def parse_timestamp(text: str) -> int:
    """One such time. Raises ValueError."""
    return parse_timestamps([text])[0]
