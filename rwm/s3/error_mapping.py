"""Map errors of the SDK to RWM's, by HTTP status and S3 error code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import s3transfer.exceptions
from boto3.exceptions import Boto3Error
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from rwm.errors import (
    AccessDenied,
    Archived,
    BadResponse,
    NotFound,
    NotSupported,
    RwmError,
    S3Error,
    Unreachable,
    UsageError,
)
from rwm.shell import quote

_ARCHIVED = (
    "the object is archived: `rwm state show STATE --archived` lists what must be retrieved first, and how; "
    "it takes minutes to days"
)

HINT = "RwmHint"
"""Key of the metadata of a response, where a client leaves a hint that depends on its settings."""

_EXPIRED = "the temporary credentials have expired: set new ones; s3_profile and s3_instance_role renew them"
_VIRTUAL = "the server takes no bucket names in paths: set s3_addressing: virtual"

_HINTS = {
    "InvalidAccessKeyId": "the server does not know this access key: check s3_access_key",
    "SignatureDoesNotMatch": "the secret key does not fit the access key: check s3_secret_key",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidToken": "the session token does not fit the access key: check s3_session_token",
    "SecondLevelDomainForbidden": _VIRTUAL,
    "PathStyleDomainForbidden": _VIRTUAL,
    "VirtualHostDomainRequired": _VIRTUAL,
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and try again",
    "AuthorizationHeaderMalformed": "the bucket lives in another region: check s3_region",
    "PermanentRedirect": "the bucket lives elsewhere: check s3_endpoint_url and s3_region",
    "IllegalLocationConstraintException": "the endpoint serves another region: check s3_region",
    "NoSuchBucket": "`rwm storage list` shows the buckets of this account",
    "InvalidBucketName": "bucket names are 3 to 63 characters: lower case letters, digits, dots and hyphens",
    "NoSuchUpload": "the upload was ended by somebody else",
    "QuotaExceeded": "the account's quota is used up",
    "MethodNotAllowed": "the version is a delete marker",
    "InvalidObjectState": _ARCHIVED,
    "ObjectNotInActiveTierError": _ARCHIVED,
}

_ASKS_FOR_VIRTUAL = re.compile(r"virtual[ -]?host|path[ -]?style", re.IGNORECASE)
"""Words of a message with status 400 or 403 by which a server refuses a bucket in the path."""

_ARCHIVE_CODES = ("InvalidObjectState", "ObjectNotInActiveTierError")
"""Refusals (403) of GetObject and of CopyObject that are no matter of permissions."""

_OF_MARKERS = ("GetObject", "HeadObject")
"""Operations that every server has, and answers with 405 for a delete marker."""

_CONSEQUENCES = {
    "ListObjectVersions": "RWM can record no state there",
    "GetBucketVersioning": "RWM cannot tell whether overwritten objects are kept",
    "PutBucketVersioning": "it keeps no overwritten objects, so nothing protects backups there",
    "GetBucketPolicy": "RWM cannot tell what the machine's account may do",
    "PutBucketPolicy": "the machine's account cannot be kept from removing versions there",
    "GetBucketAcl": "RWM cannot tell who owns the bucket, and who else has access",
    "GetBucketLifecycleConfiguration": "RWM cannot tell whether lifecycle rules remove versions",
    "GetObjectLockConfiguration": "whoever has the admin's keys can delete every version",
    "PutObjectLockConfiguration": "whoever has the admin's keys can delete every version",
    "ListMultipartUploads": "RWM cannot find unfinished uploads",
}

_OF_CREDENTIALS = (sdk.CredentialRetrievalError, sdk.MetadataRetrievalError)

_TRANSPORT: tuple[type[Exception], ...] = (
    sdk.HTTPClientError,  # read timeout, connection closed, body cut off
    sdk.ConnectionError,  # no connection: name, route, TLS, proxy, timeout
    sdk.IncompleteReadError,
    # Errors while a body is read are not wrapped by botocore.
    HTTPError,
    ConnectionError,
    TimeoutError,
)
_OTHERS: tuple[type[Exception], ...] = (
    sdk.BotoCoreError,
    sdk.UndefinedModelAttributeError,
    Boto3Error,
    *(cls for cls in vars(s3transfer.exceptions).values() if inspect.isclass(cls) and issubclass(cls, Exception)),
)


@contextmanager
def mapped(operation: str, subject: str) -> Iterator[None]:
    """Raise RWM's errors for the SDK's, with the operation and its subject in the message."""
    try:
        yield
    except RwmError:
        raise
    except sdk.ClientError as error:
        raise from_response(error, operation, subject) from error
    except _TRANSPORT as error:
        raise Unreachable(
            f"{operation} {subject}: no usable answer ({one_line(error)})",
            hint="; ".join(getattr(error, "__notes__", ())) or "check s3_endpoint_url, the network and the server",
        ) from error
    except (sdk.ParamValidationError, sdk.InvalidEndpointDiscoveryConfigurationError) as error:
        if "Invalid bucket name" in str(error):
            raise UsageError(
                f"{operation} {subject}: not a valid bucket name", hint=_HINTS["InvalidBucketName"]
            ) from error
        raise UsageError(f"{operation} {subject}: {one_line(error)}") from error
    except (ResponseParserError, sdk.ChecksumError, sdk.FlexibleChecksumError) as error:
        raise BadResponse(f"{operation} {subject}: {one_line(error)}") from error
    except RecursionError as error:  # botocore follows redirects by calling itself
        raise BadResponse(
            f"{operation} {subject}: the server redirects without end", hint="check s3_endpoint_url and s3_region"
        ) from error
    except _OTHERS as error:
        cause = error.__context__
        if isinstance(cause, sdk.ClientError):  # wrapped by a managed transfer
            raise from_response(cause, operation, subject) from error
        raise S3Error(f"{operation} {subject}: {one_line(error)}") from error
    except ValueError as error:  # botocore's own check of the endpoint URL
        raise UsageError(f"{operation} {subject}: {one_line(error)}", hint="check s3_endpoint_url") from error


def from_response(error: sdk.ClientError, operation: str, subject: str) -> S3Error:
    """The error for a response with a status. RGW sends a code and rarely a message; a HEAD has neither."""
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    status = int(metadata.get("HTTPStatusCode", 0))
    fault = error.response.get("Error", {})
    code = " ".join(str(fault.get("Code", "")).split())[:100] or str(status)
    text = code + (f" (HTTP {status})" if code != str(status) else "")
    message = fault.get("Message") or ""  # RGW sends an empty element
    if message and message not in (code, "Unknown", "None"):
        text += f": {' '.join(message.split())[:200]}"
    if status == 501 or (status == 405 and operation not in _OF_MARKERS):
        error_class: type[S3Error] = NotSupported
        hint = _hint_for_missing(operation)
    else:
        error_class = _error_class(status, code)
        hint = metadata.get(HINT) or _HINTS.get(code) or _hint(status, message, subject)
    found = error_class(f"{operation} {subject}: {text}", hint=hint)
    found.code, found.reason = code, text
    return found


def _error_class(status: int, code: str) -> type[S3Error]:
    if code in _ARCHIVE_CODES:
        return Archived
    if status == 404:
        return NotFound
    if status in (401, 403):
        return AccessDenied
    if status >= 500 or status == 429:
        return Unreachable
    return S3Error


def _hint_for_missing(operation: str) -> str:
    """The hint for an operation that the server does not have."""
    consequence = _CONSEQUENCES.get(operation)
    return f"the server does not have {operation}" + (f": {consequence}" if consequence else "")


def _hint(status: int, message: str, subject: str) -> str:
    if status in (400, 403) and _ASKS_FOR_VIRTUAL.search(message):
        return _VIRTUAL
    if status in (401, 403):
        return (
            "check s3_access_key and s3_secret_key, and what the bucket's policy allows this account: "
            f"`rwm storage check {quote(_bucket_of(subject) or 'BUCKET')}` shows it"
        )
    if status >= 500 or status == 429:
        return "the server is in trouble or overloaded: try again later"
    return ""


def _bucket_of(subject: str) -> str:
    """The bucket of an operation; empty if it is about the account, and its subject the endpoint."""
    return "" if "://" in subject else subject.partition("/")[0]


def one_line(error: BaseException) -> str:
    """An exception's text on one line, or its type when it has none."""
    text = " ".join(str(error).split())[:300] or type(error).__name__
    # The answer of a metadata service, which follows, may hold keys.
    return text.partition("{")[0] if isinstance(error, _OF_CREDENTIALS) else text
