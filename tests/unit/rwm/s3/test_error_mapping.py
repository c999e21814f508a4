"""Every error of the SDK is mapped to one of RWM's, with a message of one line; only a 404 means absence."""

from __future__ import annotations

import inspect
import string
from collections.abc import Iterator
from typing import Any

import boto3.exceptions
import botocore.exceptions
import botocore.parsers
import pytest
import s3transfer.exceptions
import urllib3.exceptions
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st

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
from rwm.s3.error_mapping import mapped

SECRET = "wJalrXUtnFEMI-SECRET"


def map_error(error: Exception, operation: str = "GetObject") -> RwmError:
    """The error for one of the SDK."""
    with pytest.raises(RwmError) as caught, mapped(operation, "bucket1/key"):
        raise error
    return caught.value


def answer(status: int, code: str = "", message: str = "") -> ClientError:
    fault = {name: text for name, text in (("Code", code), ("Message", message)) if text}
    response: Any = {"Error": fault, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


# --- every exception of the layers below ----------------------------------------------------------------


def exceptions_of(module: Any) -> Iterator[type[Exception]]:
    for _, cls in sorted(vars(module).items()):
        if inspect.isclass(cls) and issubclass(cls, Exception) and not issubclass(cls, Warning):
            yield cls


def make_error(cls: type[Exception]) -> Exception:
    """An instance, with a word for every parameter of its constructor and its format."""
    if issubclass(cls, ClientError):
        response: Any = {"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return cls(response, "GetObject")
    if not hasattr(cls, "fmt") and cls.__init__ is Exception.__init__:
        return cls("two\nwords")
    parameters = [*inspect.signature(cls.__init__).parameters.values()][1:]
    wanted: dict[str, Any] = {p.name: "word" for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        template = getattr(cls, "fmt", "")
        wanted |= {name: "two\nwords" for _, name, _, _ in string.Formatter().parse(template) if name}
    return cls(**wanted) if wanted else cls()


BELOW = {
    cls
    for module in (botocore.exceptions, boto3.exceptions, botocore.parsers, s3transfer.exceptions)
    for cls in exceptions_of(module)
    if cls.__module__ == module.__name__
}


def test_exceptions_of_the_sdk_are_found() -> None:
    assert len(BELOW) > 90
    assert botocore.exceptions.EndpointConnectionError in BELOW


@pytest.mark.parametrize("cls", sorted(BELOW, key=str))
def test_every_exception_of_the_sdk_is_mapped(cls: type[Exception]) -> None:
    error = map_error(make_error(cls))
    assert type(error).__module__ == "rwm.errors"
    assert "GetObject bucket1/key" in error.message
    assert "\n" not in error.message
    assert not isinstance(error, NotFound)


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.SSLError("record layer failure"),
        urllib3.exceptions.DecodeError("gzip"),
        urllib3.exceptions.ProtocolError("Connection broken"),
        urllib3.exceptions.IncompleteRead(3, 5),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("The read operation timed out"),
    ],
)
def test_transport_errors_of_a_body_are_unreachable(error: Exception) -> None:
    """botocore hands most of these on as they are when they come while a body is read."""
    assert isinstance(map_error(error), Unreachable)


@pytest.mark.parametrize(
    "name",
    ["EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "SSLError",
     "ProxyConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseStreamingError"],
)  # fmt: skip
def test_transport_errors_of_the_sdk_are_unreachable(name: str) -> None:
    error = map_error(make_error(getattr(botocore.exceptions, name)))
    assert isinstance(error, Unreachable)
    assert "check s3_endpoint_url" in error.hint


def test_invalid_parameters_are_a_usage_error() -> None:
    assert isinstance(map_error(make_error(botocore.exceptions.ParamValidationError)), UsageError)
    assert isinstance(map_error(ValueError("Invalid endpoint: x")), UsageError)


def test_a_parse_error_is_a_bad_response() -> None:
    assert isinstance(map_error(botocore.parsers.ResponseParserError("no\nXML")), BadResponse)
    assert isinstance(map_error(make_error(botocore.exceptions.FlexibleChecksumError)), BadResponse)


@pytest.mark.parametrize("code", ["InvalidObjectState", "ObjectNotInActiveTierError"])
def test_a_refusal_for_an_archive_class_is_no_lack_of_rights(code: str) -> None:
    error = map_error(answer(403, code, "The operation is not valid for the object's storage class"))
    assert isinstance(error, Archived) and not isinstance(error, AccessDenied)
    assert "`rwm state show STATE --archived`" in error.hint
    assert error.exit_code == 1


def test_an_endless_redirect_is_a_bad_response() -> None:
    found = map_error(RecursionError("maximum recursion depth exceeded"))
    assert isinstance(found, BadResponse)
    assert "redirects without end" in found.message


def test_own_errors_are_unchanged() -> None:
    own = BadResponse("as it is")
    assert map_error(own) is own


def test_an_error_wrapped_by_a_managed_transfer() -> None:
    try:
        try:
            raise answer(403, "AccessDenied")
        except ClientError as error:
            raise boto3.exceptions.S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904 - as boto3 does
    except boto3.exceptions.S3UploadFailedError as wrapped:
        found = map_error(wrapped)
    assert isinstance(found, AccessDenied)
    assert found.code == "AccessDenied"


def test_bugs_are_not_mapped() -> None:
    for bug in (KeyError("x"), AttributeError("x"), AssertionError("x"), KeyboardInterrupt()):
        with pytest.raises(type(bug)), mapped("GetObject", "bucket1/key"):
            raise bug


# --- answers with a status --------------------------------------------------------------------------------


@example(status=501, code="")
@given(status=st.integers(0, 999), code=st.sampled_from(["", "NoSuchKey", "AccessDenied", "SlowDown", "NoSuchBucket"]))
def test_the_status_decides_not_the_code(status: int, code: str) -> None:
    expected: type[S3Error]
    if status == 404:
        expected = NotFound
    elif status in (401, 403):
        expected = AccessDenied
    elif status == 501:
        expected = NotSupported
    elif status >= 500 or status == 429:
        expected = Unreachable
    else:
        expected = S3Error
    found = map_error(answer(status, code))
    assert type(found) is expected
    assert isinstance(found, S3Error)
    assert found.code == (code or str(status))
    assert found.code in found.message


@pytest.mark.parametrize(
    ("operation", "status", "code", "consequence"),
    [
        ("ListObjectVersions", 501, "NotImplemented", "RWM can record no state there"),
        ("ListObjectVersions", 405, "MethodNotAllowed", "RWM can record no state there"),
        ("GetBucketPolicy", 501, "", "RWM cannot tell what the machine's account may do"),
        ("PutBucketPolicy", 405, "MethodNotAllowed", "cannot be kept from removing versions"),
        ("CopyObject", 501, "NotImplemented", "the server does not have CopyObject"),
        ("GetObject", 501, "NotImplemented", "the server does not have GetObject"),
    ],
)
def test_an_operation_that_the_server_does_not_have_is_no_trouble(
    operation: str, status: int, code: str, consequence: str
) -> None:
    error = map_error(answer(status, code), operation)
    assert type(error) is NotSupported
    assert error.message.startswith(f"{operation} bucket1/key: {code or status}")
    assert consequence in error.hint
    assert "later" not in error.hint


@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"])
def test_a_delete_marker_is_not_a_missing_operation(operation: str) -> None:
    error = map_error(answer(405, "MethodNotAllowed"), operation)
    assert type(error) is S3Error
    assert error.hint == "the version is a delete marker"


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "InvalidAccessKeyId", "s3_access_key"),
        (403, "SignatureDoesNotMatch", "s3_secret_key"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "s3_profile and s3_instance_role renew them"),
        (403, "ExpiredTokenException", "temporary credentials have expired"),
        (403, "InvalidToken", "s3_session_token"),
        (403, "SecondLevelDomainForbidden", "set s3_addressing: virtual"),
        (400, "PathStyleDomainForbidden", "set s3_addressing: virtual"),
        (400, "VirtualHostDomainRequired", "set s3_addressing: virtual"),
        (400, "AuthorizationHeaderMalformed", "s3_region"),
        (301, "PermanentRedirect", "s3_endpoint_url"),
        (404, "NoSuchBucket", "rwm storage list"),
        (403, "", "policy"),
        (401, "", "s3_access_key"),
        (503, "SlowDown", "try again later"),
        (429, "", "try again later"),
    ],
)
def test_hints(status: int, code: str, hint: str) -> None:
    assert hint in map_error(answer(status, code)).hint


@pytest.mark.parametrize(
    ("status", "message", "virtual"),
    [
        (403, "Please use virtual hosted style to access.", True),
        (400, "Path-style requests are not supported", True),
        (403, "Access Denied", False),
        (404, "no path style", False),
    ],
)
def test_a_server_without_paths_is_known_by_its_words(status: int, message: str, virtual: bool) -> None:
    hint = map_error(answer(status, "InvalidRequest", message)).hint
    assert ("s3_addressing: virtual" in hint) == virtual


def test_a_code_without_a_message() -> None:
    error = answer(403, "AccessDenied")
    error.response["Error"]["Message"] = None  # type: ignore[typeddict-item]  # an empty element, as RGW sends
    assert map_error(error).message == "GetObject bucket1/key: AccessDenied (HTTP 403)"


def test_an_answer_with_keys_is_not_quoted() -> None:
    text = f'non 200 response 500: {{"Key": "{SECRET}"}}'
    error = botocore.exceptions.MetadataRetrievalError(error_msg=text)
    assert SECRET not in map_error(error).message


def test_the_message_has_operation_subject_code_and_status() -> None:
    found = map_error(answer(403, "AccessDenied", "Access Denied by policy"))
    assert found.message == "GetObject bucket1/key: AccessDenied (HTTP 403): Access Denied by policy"
    assert map_error(answer(404)).message == "GetObject bucket1/key: 404"
    assert map_error(answer(404, "NoSuchKey", "NoSuchKey")).message == "GetObject bucket1/key: NoSuchKey (HTTP 404)"


@given(code=st.text(max_size=400), message=st.text(max_size=400))
def test_the_message_is_one_line_of_bounded_length(code: str, message: str) -> None:
    found = map_error(answer(400, code, message))
    assert len(found.message.splitlines()) == 1
    assert len(found.message) < 400


def test_an_empty_response() -> None:
    response: Any = {}
    assert "GetObject bucket1/key" in map_error(ClientError(response, "GetObject")).message


def test_the_request_is_not_repeated_in_the_message() -> None:
    error = answer(403, "SignatureDoesNotMatch", "The signature does not match")
    error.response["Error"]["StringToSign"] = SECRET  # type: ignore[typeddict-unknown-key]
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"authorization": SECRET}
    found = map_error(error)
    assert SECRET not in found.message + found.hint
