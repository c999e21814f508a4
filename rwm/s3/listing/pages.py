"""One page of a listing, parsed from its raw XML. Pure.

Formats: the ListObjectVersions and ListMultipartUploads pages of the Amazon S3 API reference. The entries of a page
are read by :mod:`rwm.s3.listing.entry_pattern` where possible, otherwise by an XML parser, with the same result.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from rwm.errors import BadResponse
from rwm.model import ObjectVersion, VersionBatch
from rwm.s3.listing.entry_pattern import NotPlain, decode_url, parse_timestamp, read_run, split
from rwm.s3.listing.garbled import is_garbled

T = TypeVar("T")
_VERSIONS = ("ListVersionsResult", "ListObjectVersionsResult")
_UPLOADS = ("ListMultipartUploadsResult",)
# Character references, and characters that XML does not allow: Ceph RGW sends them in markers and keys of uploads.
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]{1,6})|([0-9]{1,7}));|[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_MARK = "\ue000"
_MARKED = re.compile(f"{_MARK}([0-9a-f]+);")
_SIZE_LIMIT = 1 << 63  # bytes; no object is as large, and the index cannot store such a number


class Page(NamedTuple):
    """One page: entries in the server's order (per key newest first), common prefixes, and the next page's markers.

    ``next_key`` and ``next_version`` are both None on the last page. ``encoded``: the server says that names are
    percent-encoded. Names that the server does not send exactly are apart, in ``garbled`` and ``garbled_prefixes``
    (:mod:`rwm.s3.listing.garbled`).
    """

    versions: Sequence[ObjectVersion]
    prefixes: list[str]
    next_key: str | None
    next_version: str | None
    encoded: bool = False
    garbled: Sequence[ObjectVersion] = ()
    garbled_prefixes: Sequence[str] = ()


class UploadPage(NamedTuple):
    """One page of unfinished uploads, (key, upload id, start in milliseconds), and the next page's markers.

    ``next_key`` and ``next_upload`` are both empty on the last page. ``initiators`` are the ids of the accounts that
    began the uploads, empty where the server does not tell.
    """

    uploads: list[tuple[str, str, int]]
    next_key: str
    next_upload: str
    initiators: list[str]


def parse_page(body: bytes) -> Page:
    """Parse a ListObjectVersions answer. Raises BadResponse unless it is complete and well-formed."""
    return parse_by_pattern(body) or parse_by_xml(body)


def parse_by_pattern(body: bytes) -> Page | None:
    """The result of :func:`parse_by_xml` without an XML parser for the entries; None if that is not possible."""
    try:
        run, rest, kinds = split(body)
        root, space = _root(rest, "version listing", _VERSIONS)
        placeholders = [child for child in root if child.tag in (space + "Version", space + "DeleteMarker")]
        # Exactly one, a child of the root: the entries were neither in a comment nor in another element.
        if len(placeholders) != 1 or len(placeholders[0]):
            return None
        return _read(root, space, read_run(run, kinds, encoded=_is_encoded(root, space)))
    except (NotPlain, BadResponse, KeyError, ValueError):
        return None


def parse_by_xml(body: bytes) -> Page:
    """Parse a page by an XML parser alone. Raises BadResponse."""
    what = "version listing"
    root, space = _root(body, what, _VERSIONS)
    return _checked(what, lambda: _read(root, space, None))


def parse_uploads(body: bytes) -> UploadPage:
    """Parse a ListMultipartUploads answer to a request without encoding. Raises BadResponse.

    With encoding, Ceph RGW encodes the keys and does not say so, and SeaweedFS says so and does not encode them.
    """
    what = "listing of uploads"
    root, space = _root(body, what, _UPLOADS)
    return _checked(what, lambda: _read_uploads(root, space))


def _checked(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, ValueError, TypeError) as error:
        raise BadResponse(f"the {what} has a malformed entry ({error!r})") from error


# --- XML -----------------------------------------------------------------------------------------------------


def _root(body: bytes, what: str, tags: tuple[str, ...]) -> tuple[ET.Element, str]:
    """The root element, and its namespace as the prefix of its tags."""
    # Only UTF-8 is accepted, so the search below finds every document type that the parser would.
    if not _is_utf8(body):
        raise BadResponse(f"the {what} is not UTF-8")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise BadResponse(f"the {what} carries a document type, which no S3 server sends")
    try:
        root = _parse(body)
    except ET.ParseError as error:
        raise BadResponse(f"the {what} is not well-formed XML ({error})") from error
    except ValueError as error:
        raise BadResponse(f"the {what} has a malformed entry ({error!r})") from error
    tag = root.tag
    space = tag[: tag.index("}") + 1] if tag.startswith("{") else ""
    if tag[len(space) :] not in tags:
        raise BadResponse(f"expected a {what}, got <{tag[len(space) :]}>")
    return root, space


def _parse(body: bytes) -> ET.Element:
    """Parse the document. Characters that XML does not allow are replaced before it, and restored after it.

    Raises ParseError, and ValueError for a number that is not a character.
    """
    try:
        return _parse_utf8(body)
    except ET.ParseError:
        if not _REFERENCE.search(body):
            raise

    def replace(found: re.Match[bytes]) -> bytes:
        digits, decimal = found.group(1), found.group(2)
        code = int(digits, 16) if digits else int(decimal) if decimal else ord(found.group().decode())
        return f"{_MARK}{code:x};".encode()

    body = body.replace(_MARK.encode(), f"&#x{ord(_MARK):x};".encode())
    root = _parse_utf8(_REFERENCE.sub(replace, body))
    for element in root.iter():
        if element.text and _MARK in element.text:
            element.text = _MARKED.sub(lambda found: chr(int(found.group(1), 16)), element.text)
            element.text.encode()  # raises for a surrogate
    return root


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body[:2]  # UTF-16 without a byte order mark


def _parse_utf8(body: bytes) -> ET.Element:
    """Parse as UTF-8, whatever encoding the document declares."""
    return ET.fromstring(body, ET.XMLParser(encoding="utf-8"))  # noqa: S314 - no document type, so no entities


def _head(root: ET.Element, space: str) -> dict[str, str]:
    return {child.tag[len(space) :]: child.text or "" for child in root if len(child) == 0}


# --- version listings ----------------------------------------------------------------------------------------


def _is_encoded(root: ET.Element, space: str) -> bool:
    """Whether names are percent-encoded: the answer decides, not the request."""
    return (root.findtext(f"{space}EncodingType") or "").lower() == "url"


def _read(root: ET.Element, space: str, entries: Sequence[ObjectVersion] | None) -> Page:
    """The page under ``root``, with the ``entries`` if they were read already."""
    head, encoded = _head(root, space), _is_encoded(root, space)
    decode = decode_url if encoded else str
    common = space + "CommonPrefixes"
    prefixes = [decode(part.text or "") for child in root if child.tag == common for part in child]
    versions: Sequence[ObjectVersion] = _versions(root, space, decode) if entries is None else entries
    next_key = next_version = None
    if head["IsTruncated"].strip().lower() == "true":
        if not head.get("NextKeyMarker"):
            raise BadResponse("the version listing is truncated but has no next marker")
        listed = [*prefixes[-1:], *VersionBatch.of(versions).keys[-1:]]
        next_key = _next_key(head["NextKeyMarker"], listed, decode)
        next_version = head.get("NextVersionIdMarker", "")
    page = Page(versions, prefixes, next_key, next_version, encoded)
    return page if encoded else separate_garbled(page)


def separate_garbled(page: Page) -> Page:
    """The page with the names that the server garbled apart from the others."""
    if not is_garbled("\0".join([*VersionBatch.of(page.versions).keys, *page.prefixes])):
        return page
    return page._replace(
        versions=[version for version in page.versions if not is_garbled(version.key)],
        prefixes=[prefix for prefix in page.prefixes if not is_garbled(prefix)],
        garbled=[version for version in page.versions if is_garbled(version.key)],
        garbled_prefixes=[prefix for prefix in page.prefixes if is_garbled(prefix)],
    )


def _next_key(text: str, listed: list[str], decode: Callable[[str], str]) -> str:
    """Decode the marker of the next page, which should be the name that was ``listed`` last.

    Ceph RGW encodes names but not this marker, other servers encode both or neither. A wrongly decoded marker would
    skip or repeat keys, so an ambiguous one that is not the last name is an error.
    """
    if text in listed:
        return text
    decoded = decode(text)
    if decoded != text and decoded not in listed:
        raise BadResponse(f"the listing continues after {text!r}, which it did not list")
    return decoded


def _versions(root: ET.Element, space: str, decode: Callable[[str], str]) -> list[ObjectVersion]:
    version, marker, size_of = space + "Version", space + "DeleteMarker", len(space)
    return [
        _version({part.tag[size_of:]: part.text for part in child}, child.tag == marker, decode)
        for child in root
        if child.tag in (version, marker)
    ]


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
        None if is_marker else _storage_class(field.get("StorageClass")),
    )


def _storage_class(text: str | None) -> str | None:
    return text if text and text != "STANDARD" else None


def _size(text: str) -> int:
    size = int(text)
    if not 0 <= size < _SIZE_LIMIT:
        raise ValueError(f"a size of {size} bytes")
    return size


# --- listings of uploads -------------------------------------------------------------------------------------


def _read_uploads(root: ET.Element, space: str) -> UploadPage:
    head = _head(root, space)
    uploads, initiators = [], []
    for child in root.iter(space + "Upload"):
        field = {part.tag[len(space) :]: part.text or "" for part in child}
        if not (field["Key"] and field["UploadId"]):
            raise ValueError("upload without a key or an id")
        uploads.append((field["Key"], field["UploadId"], parse_timestamp(field["Initiated"])))
        initiators.append(child.findtext(f"{space}Initiator/{space}ID", ""))
    if head["IsTruncated"].strip().lower() != "true":
        return UploadPage(uploads, "", "", initiators)
    if not (head.get("NextKeyMarker") or head.get("NextUploadIdMarker")):
        raise BadResponse("the listing of uploads is truncated but has no next marker")
    return UploadPage(uploads, head.get("NextKeyMarker", ""), head.get("NextUploadIdMarker", ""), initiators)
