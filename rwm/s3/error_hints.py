"""Hints that depend on the settings of the client. They travel on the SDK's errors to ``error_mapping.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore import exceptions as sdk

from rwm.config import Credentials, S3Settings
from rwm.s3.error_mapping import HINT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNKNOWN_KEY = ("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken")

_OTHER_HOST = ("mismatch", "doesn't match", "no appropriate")
"""Words of OpenSSL and urllib3 about a valid certificate of another host."""


def register_hints(client: S3Client, settings: S3Settings) -> None:
    """Add hints to the errors of all requests of the client."""

    def explain_no_answer(caught_exception: Exception | None, **_: object) -> None:
        hint = connection_hint(caught_exception, settings) if caught_exception else ""
        if caught_exception and hint:
            caught_exception.__notes__ = [hint]  # one, whatever the number of attempts

    def explain_answer(parsed: dict[str, Any], **_: object) -> None:
        hint = answer_hint(str(parsed.get("Error", {}).get("Code", "")), settings)
        if hint:
            parsed.setdefault("ResponseMetadata", {})[HINT] = hint

    client.meta.events.register("needs-retry.*", explain_no_answer)
    client.meta.events.register("after-call.*", explain_answer)


def connection_hint(error: Exception, settings: S3Settings) -> str:
    """What to check after a failed connection; empty if the settings say nothing about it."""
    text = str(error)
    if isinstance(error, sdk.SSLError) and any(words in text for words in _OTHER_HOST):
        return f"the certificate is of another host: check s3_endpoint_url{_bucket_in_host(settings)}"
    if isinstance(error, sdk.SSLError) and "CERTIFICATE" in text:
        file = settings.ca_file or "boto3's own list"
        return f"the certificate was checked with {file}: set s3_ca_file to the file of the CA that signed it"
    if isinstance(error, sdk.EndpointConnectionError) and settings.addressing == "virtual":
        return f"check s3_endpoint_url, the network and the server{_bucket_in_host(settings)}"
    return ""


def answer_hint(code: str, settings: S3Settings) -> str:
    """What to check after an error with this code; empty if the settings say nothing about it."""
    keys = settings.credentials
    temporary = isinstance(keys, Credentials) and keys.access_key.startswith("ASIA") and not keys.session_token
    if code in _UNKNOWN_KEY and temporary:
        return "s3_access_key is a temporary key (ASIA…), which needs s3_session_token"
    return ""


def _bucket_in_host(settings: S3Settings) -> str:
    if settings.addressing == "path":
        return ""
    return ", and whether the server has a host name for each bucket (else set s3_addressing: path)"
