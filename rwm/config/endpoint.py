"""The endpoint URL in the one form that boto3, restic and aws take alike."""

from __future__ import annotations

from urllib.parse import urlsplit


def normalise_endpoint(text: str) -> str:
    """``scheme://host[:port]``: scheme and host in lower case, no slash at the end.

    Raises ValueError, which says what to write, for what the three programs would take differently: no scheme (restic
    takes https, boto3 nothing), a path (restic takes it for the bucket), user and password, a query. The message never
    has the text in it when it may hold a password.
    """
    url = text.strip()
    if "@" in url:
        raise ValueError("user and password do not belong into the URL: set s3_access_key and s3_secret_key")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("has white space or control characters in it")
    if "://" not in url:
        raise ValueError(f"has no scheme: write https://{url} or http://{url}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"is no URL ({error}): write https://HOST or https://HOST:PORT") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"has the scheme {parts.scheme}: write https://… or http://…")
    if not host:
        raise ValueError("names no host: write https://HOST or https://HOST:PORT")
    host = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"has more than a host in it, which restic would take for the bucket: write {origin}")
    return origin
