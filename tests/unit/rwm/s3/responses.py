"""Prepared responses of a server."""

from __future__ import annotations

from collections.abc import Callable

from rwm.s3 import S3

Response = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

Serve = Callable[..., S3]


def ok(body: str) -> Response:
    return 200, {}, body.encode()
