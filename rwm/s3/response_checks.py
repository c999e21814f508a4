"""Checks of a GetObject response before its body is read: version, content, range. Each raises BadResponse. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rwm.errors import BadResponse

_MD5 = re.compile("[0-9a-f]{32}")
_ENCRYPTED_BY_KEY = ("aws:kms", "aws:kms:dsse")
"""Kinds of encryption with which the ETag is no MD5 sum of the content, though it looks like one."""


def check_version(received: str | None, requested: str | None, subject: str) -> None:
    """Refuse another version: a server that ignores version ids would return what an attacker wrote."""
    if requested and received and received != requested:
        raise BadResponse(f"GetObject {subject}: the server answered with version {received}")


def check_content(response: Mapping[str, Any], etag: str, subject: str) -> None:
    """Refuse content that was overwritten in place, where the response names no immutable version.

    Only two MD5 sums are compared: for a multipart object SeaweedFS lists another ETag than it returns.
    """
    received = _etag(response)
    is_equal = received == etag or not (_MD5.fullmatch(etag) and _MD5.fullmatch(received))
    if not is_equal and response.get("VersionId", "null") == "null":
        raise BadResponse(f"GetObject {subject}: it was overwritten (its ETag was {etag}, and is {received})")


def content_md5(response: Mapping[str, Any]) -> str | None:
    """The MD5 sum of the content, where the ETag of a GET or HEAD response is one.

    Not for a multipart object, nor one that is encrypted with a key of the client or of a key service.
    """
    etag = _etag(response)
    is_encrypted = response.get("ServerSideEncryption") in _ENCRYPTED_BY_KEY or response.get("SSECustomerAlgorithm")
    return etag if _MD5.fullmatch(etag) and not is_encrypted else None


def _etag(response: Mapping[str, Any]) -> str:
    return str(response.get("ETag", "")).removeprefix("W/").strip('"')


def check_range(response: Mapping[str, Any], start: int, stop: int, subject: str) -> None:
    """Refuse other bytes than ``start`` to ``stop``. A server that ignores ranges sends the object from its start."""
    expected = f"for bytes {start} to {stop}"
    length = response.get("ContentLength")
    if length != stop - start:
        received = "no length" if length is None else f"{length} bytes"
        raise BadResponse(f"GetObject {subject}: received {received} {expected}")
    content_range = str(response.get("ContentRange", "")).partition("/")[0]
    if content_range and content_range != f"bytes {start}-{stop - 1}":
        raise BadResponse(f"GetObject {subject}: received {content_range[:60]!r} {expected}")
    if not content_range and start:
        raise BadResponse(f"GetObject {subject}: received the start of the object {expected}")
