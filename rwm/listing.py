"""Listings: one page parsed from the raw XML, and the checks that a sequence of pages must pass. Pure.

Parsing the body directly takes a fifteenth of the CPU that botocore's own parser takes, which spends most of it
on dates. Formats: the ListObjectVersions and ListMultipartUploads pages of the Amazon S3 API reference.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from rwm.errors import BadResponse
from rwm.model import ObjectVersion

T = TypeVar("T")
# What XML cannot carry, as Ceph RGW sends it in markers all the same.
_UNSPEAKABLE = re.compile(rb"&#x(?:0[0-8bcef]|1[0-9a-f]);|\xef\xbf[\xbe\xbf]")
_UNKNOWN = "\ufffd"
# The same wherever it may be said, and every other character reference.
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]{1,6})|([0-9]{1,7}));|[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_MARK = "\ue000"
_SIZES = 1 << 63  # no server has objects of that size, and the index has no room for such a number


class Page(NamedTuple):
    """One page: entries in the server's order (per key newest first), common prefixes, and where it goes on.

    ``next_key`` and ``next_version`` are the markers to send for the page after it; both None on the last one.
    """

    versions: list[ObjectVersion]
    prefixes: list[str]
    next_key: str | None
    next_version: str | None


def parse_page(body: bytes) -> Page:
    """Parse a ListObjectVersions answer. Raises BadResponse when it is not a whole, well-formed one."""
    return _page(body, "version listing", ("ListVersionsResult", "ListObjectVersionsResult"), _parsed, _read)


class UploadPage(NamedTuple):
    """One page of unfinished uploads: (key, upload id, time begun), and where it goes on.

    ``next_key`` and ``next_upload`` are the markers to send for the page after it; both empty on the last one.
    """

    uploads: list[tuple[str, str, int]]
    next_key: str
    next_upload: str


def parse_uploads(body: bytes) -> UploadPage:
    """Parse a ListMultipartUploads answer for which no encoding was asked. Raises BadResponse.

    With one, Ceph RGW encodes the keys and does not say so, and SeaweedFS says so and does not encode them.
    """
    return _page(body, "listing of uploads", ("ListMultipartUploadsResult",), _parsed_with_marks, _read_uploads)


def _page(
    body: bytes,
    what: str,
    tags: tuple[str, ...],
    parse: Callable[[bytes], ET.Element],
    read: Callable[[ET.Element, str], T],
) -> T:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise BadResponse(f"the {what} carries a document type, which no S3 server sends")
    try:
        root = parse(body)
    except ET.ParseError as error:
        raise BadResponse(f"the {what} is not well-formed XML ({error})") from error
    tag = root.tag
    space = tag[: tag.index("}") + 1] if tag.startswith("{") else ""
    if tag[len(space) :] not in tags:
        raise BadResponse(f"expected a {what}, got <{tag[len(space) :]}>")
    try:
        return read(root, space)
    except (KeyError, ValueError, TypeError) as error:
        raise BadResponse(f"the {what} has a malformed entry ({error!r})") from error


def _parsed(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError:
        if b">url</EncodingType>" not in body:
            raise
        # Names are percent-encoded, so what XML cannot carry is in echoes and markers only.
        return ET.fromstring(_UNSPEAKABLE.sub(_UNKNOWN.encode(), body))  # noqa: S314


def _parsed_with_marks(body: bytes) -> ET.Element:
    """Parsed with each character reference as a mark and a number, so that none is lost that XML cannot carry."""

    def marked(found: re.Match[bytes]) -> bytes:
        digits, decimal = found.group(1), found.group(2)
        code = int(digits, 16) if digits else int(decimal) if decimal else ord(found.group().decode())
        return f"{_MARK}{code:x};".encode()

    body = body.replace(_MARK.encode(), f"&#x{ord(_MARK):x};".encode())
    return ET.fromstring(_REFERENCE.sub(marked, body))  # noqa: S314 - without a document type there are no entities


def _unmarked(text: str) -> str:
    """The text that was meant. Raises ValueError for what is no character."""
    text = re.sub(f"{_MARK}([0-9a-f]+);", lambda found: chr(int(found.group(1), 16)), text)
    text.encode()
    return text


def _read_uploads(root: ET.Element, space: str) -> UploadPage:
    head = {child.tag[len(space) :]: _unmarked(child.text or "") for child in root if len(child) == 0}
    uploads = []
    for child in root.iter(space + "Upload"):
        field = {part.tag[len(space) :]: _unmarked(part.text or "") for part in child}
        if not (field["Key"] and field["UploadId"]):
            raise ValueError("upload without a key or an id")
        uploads.append((field["Key"], field["UploadId"], parse_timestamp(field["Initiated"])))
    if head["IsTruncated"].strip().lower() != "true":
        return UploadPage(uploads, "", "")
    if not (head.get("NextKeyMarker") or head.get("NextUploadIdMarker")):
        raise BadResponse("the listing of uploads is truncated but does not say where it goes on")
    return UploadPage(uploads, head.get("NextKeyMarker", ""), head.get("NextUploadIdMarker", ""))


def _read(root: ET.Element, space: str) -> Page:
    """The page under ``root``; whether names are percent-encoded is said by the answer, not by the request."""
    head = {child.tag[len(space) :]: child.text or "" for child in root if len(child) == 0}
    decode = _decode_url if head.get("EncodingType", "").lower() == "url" else _decode_plain
    versions: list[ObjectVersion] = []
    prefixes: list[str] = []
    version, marker, common = space + "Version", space + "DeleteMarker", space + "CommonPrefixes"
    size_of = len(space)
    for child in root:
        kind = child.tag
        if kind in (version, marker):
            field = {part.tag[size_of:]: part.text for part in child}
            versions.append(_version(field, kind == marker, decode))
        elif kind == common:
            prefixes.extend(decode(part.text or "") for part in child)
    if head["IsTruncated"].strip().lower() != "true":
        return Page(versions, prefixes, None, None)
    if not head.get("NextKeyMarker"):
        raise BadResponse("the version listing is truncated but does not say where it goes on")
    listed = [*prefixes[-1:], *(entry.key for entry in versions[-1:])]
    return Page(
        versions, prefixes, _next_key(head["NextKeyMarker"], listed, decode), head.get("NextVersionIdMarker", "")
    )


def _next_key(text: str, listed: list[str], decode: Callable[[str], str]) -> str:
    """The marker to go on from: what was ``listed`` last, in whichever form the server says it.

    Ceph RGW encodes names but not this marker, other servers both or neither. A marker that is read wrongly skips
    keys or goes back, so one that could be read in two ways and is not what was listed last is an error.
    """
    if _UNKNOWN in text and text not in listed and listed:
        return max(listed)
    if _UNKNOWN in text and decode is _decode_plain:
        raise BadResponse(f"the listing cannot go on after {text!r}: the server does not say the key's exact name")
    if text in listed:
        return text
    decoded = decode(text)
    if decoded != text and decoded not in listed:
        raise BadResponse(f"the listing goes on after {text!r}, which it did not list")
    return decoded


def _version(field: dict[str, str | None], is_marker: bool, decode: Callable[[str], str]) -> ObjectVersion:
    key = field["Key"]
    if not key:
        raise ValueError("entry without a key")
    return ObjectVersion(
        decode(key),
        field.get("VersionId") or "null",
        field["IsLatest"] == "true",
        is_marker,
        0 if is_marker else _size(field["Size"] or ""),
        "" if is_marker else (field.get("ETag") or "").strip('"'),
        parse_timestamp(field["LastModified"] or ""),
    )


def _size(text: str) -> int:
    size = int(text)
    if not 0 <= size < _SIZES:
        raise ValueError(f"a size of {size} bytes")
    return size


def _decode_plain(text: str) -> str:
    return text


def _decode_url(text: str) -> str:
    """Percent-encoded; ``+`` is a space, for servers that encode keys as forms (they send ``+`` as %2B)."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadResponse(f"the key {text} is not UTF-8") from error


def parse_timestamp(text: str, _seconds: dict[str, int] = {}) -> int:  # noqa: B006 - a cache: times repeat
    """``2026-11-23T09:34:50.123Z`` as milliseconds; more digits are cut. Raises ValueError."""
    second = _seconds.get(text[:19])
    if second is None:
        date, _, clock = text[:19].partition("T")
        year, month, day = map(int, date.split("-"))
        hours, minutes, seconds = map(int, clock.split(":"))
        if len(_seconds) > 100_000:
            _seconds.clear()
        second = timegm(datetime(year, month, day, hours, minutes, seconds, tzinfo=UTC).timetuple()) * 1000
        _seconds[text[:19]] = second
    tail = text[19:]
    if tail == "Z":
        return second
    if tail[:1] != "." or tail[-1:] != "Z":
        raise ValueError(f"not a UTC time: {text!r}")
    return second + int((tail[1:-1] + "000")[:3])


@dataclass
class ListingCheck:
    """Watches the entries and markers of one listing go by, and refuses a listing that cannot be whole.

    Servers sort keys by byte (S3, Ceph RGW) or by path component (SeaweedFS); a listing must keep to either order
    from its first entry to its last. ``prefix`` is what was asked for.
    """

    prefix: str = ""
    _last: ObjectVersion | None = None
    _by_byte: bool = True
    _by_component: bool = True

    def entries(self, versions: Iterable[ObjectVersion]) -> None:
        """Raises BadResponse on a key outside the prefix, a repeated entry, or a key that goes backwards."""
        last = self._last
        for version in versions:
            key = version.key
            if not key.startswith(self.prefix):
                raise BadResponse(f"the listing of {self.prefix!r} answered with the key {key!r}")
            if last is not None:
                if key != last.key:
                    self._ordered(last.key, key)
                elif version.version_id == last.version_id:
                    raise BadResponse(f"the listing repeats version {version.version_id} of {key!r}")
                elif version.is_latest:
                    raise BadResponse(f"the listing names a second latest version of {key!r}")
            last = version
        self._last = last

    def _ordered(self, before: str, after: str) -> None:
        self._by_byte = self._by_byte and before < after
        self._by_component = self._by_component and before.replace("/", "\0") < after.replace("/", "\0")
        if not (self._by_byte or self._by_component):
            raise BadResponse(f"the listing goes backwards: {after!r} after {before!r}")


def by_key(versions: Iterable[ObjectVersion]) -> Iterator[list[ObjectVersion]]:
    """Group consecutive entries of one key, across pages; the order within a key is the server's."""
    group: list[ObjectVersion] = []
    for version in versions:
        if group and group[0].key != version.key:
            yield group
            group = []
        group.append(version)
    if group:
        yield group
