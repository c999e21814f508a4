"""Whatever the SDK can raise becomes one of RWM's errors, on one line, and only a 404 is absence."""

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
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import AccessDenied, BadResponse, NotFound, RwmError, S3Error, Unreachable, UsageError
from rwm.s3.error_mapping import mapped

SECRET = "wJalrXUtnFEMI-SECRET"


def raised(error: Exception) -> RwmError:
    """What comes out when the SDK raises this."""
    with pytest.raises(RwmError) as caught, mapped("GetObject", "bucket1/key"):
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


def made(cls: type[Exception]) -> Exception:
    """An instance, with a word for whatever its constructor and its message's format want."""
    if issubclass(cls, ClientError):
        odd: Any = {"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return cls(odd, "GetObject")
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


def test_there_is_something_to_map() -> None:
    assert len(BELOW) > 90
    assert botocore.exceptions.EndpointConnectionError in BELOW


@pytest.mark.parametrize("cls", sorted(BELOW, key=str))
def test_every_exception_of_the_sdk_is_mapped(cls: type[Exception]) -> None:
    error = raised(made(cls))
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
def test_a_body_that_breaks_off_below_the_sdk_is_no_usable_answer(error: Exception) -> None:
    """botocore hands most of these on as they are when they come while a body is read."""
    assert isinstance(raised(error), Unreachable)


@pytest.mark.parametrize(
    "name",
    ["EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "SSLError",
     "ProxyConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseStreamingError"],
)  # fmt: skip
def test_trouble_on_the_way_is_no_usable_answer(name: str) -> None:
    error = raised(made(getattr(botocore.exceptions, name)))
    assert isinstance(error, Unreachable)
    assert "check s3_endpoint_url" in error.hint


def test_a_wrong_call_is_the_callers() -> None:
    assert isinstance(raised(made(botocore.exceptions.ParamValidationError)), UsageError)
    assert isinstance(raised(ValueError("Invalid endpoint: x")), UsageError)


def test_an_answer_that_cannot_be_parsed_is_a_bad_response() -> None:
    assert isinstance(raised(botocore.parsers.ResponseParserError("no\nXML")), BadResponse)
    assert isinstance(raised(made(botocore.exceptions.FlexibleChecksumError)), BadResponse)


def test_redirects_without_end_are_a_bad_response() -> None:
    found = raised(RecursionError("maximum recursion depth exceeded"))
    assert isinstance(found, BadResponse)
    assert "redirects without end" in found.message


def test_our_own_errors_pass_as_they_are() -> None:
    own = BadResponse("as it is")
    assert raised(own) is own


def test_what_a_managed_transfer_wraps_is_seen() -> None:
    try:
        try:
            raise answer(403, "AccessDenied")
        except ClientError as error:
            raise boto3.exceptions.S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904 - as boto3 does
    except boto3.exceptions.S3UploadFailedError as wrapped:
        found = raised(wrapped)
    assert isinstance(found, AccessDenied)
    assert found.code == "AccessDenied"


def test_bugs_are_not_taken_for_answers() -> None:
    for bug in (KeyError("x"), AttributeError("x"), AssertionError("x"), KeyboardInterrupt()):
        with pytest.raises(type(bug)), mapped("GetObject", "bucket1/key"):
            raise bug


# --- answers with a status --------------------------------------------------------------------------------


@given(status=st.integers(0, 999), code=st.sampled_from(["", "NoSuchKey", "AccessDenied", "SlowDown", "NoSuchBucket"]))
def test_the_status_decides_whatever_the_code_says(status: int, code: str) -> None:
    expected: type[S3Error]
    if status == 404:
        expected = NotFound
    elif status in (401, 403):
        expected = AccessDenied
    elif status >= 500 or status == 429:
        expected = Unreachable
    else:
        expected = S3Error
    found = raised(answer(status, code))
    assert type(found) is expected
    assert isinstance(found, S3Error)
    assert found.code == (code or str(status))
    assert found.code in found.message


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "InvalidAccessKeyId", "s3_access_key"),
        (403, "SignatureDoesNotMatch", "s3_secret_key"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "AuthorizationHeaderMalformed", "s3_region"),
        (301, "PermanentRedirect", "s3_endpoint_url"),
        (404, "NoSuchBucket", "rwm storage list"),
        (403, "", "policy"),
        (401, "", "s3_access_key"),
        (503, "SlowDown", "try again later"),
        (429, "", "try again later"),
    ],
)
def test_hints_say_what_to_do(status: int, code: str, hint: str) -> None:
    assert hint in raised(answer(status, code)).hint


def test_the_message_says_operation_subject_code_and_status() -> None:
    found = raised(answer(403, "AccessDenied", "Access Denied by policy"))
    assert found.message == "GetObject bucket1/key: AccessDenied (HTTP 403): Access Denied by policy"
    assert raised(answer(404)).message == "GetObject bucket1/key: 404"
    assert raised(answer(404, "NoSuchKey", "NoSuchKey")).message == "GetObject bucket1/key: NoSuchKey (HTTP 404)"


@given(code=st.text(max_size=400), message=st.text(max_size=400))
def test_whatever_a_server_says_is_one_line_of_bounded_length(code: str, message: str) -> None:
    found = raised(answer(400, code, message))
    assert len(found.message.splitlines()) == 1
    assert len(found.message) < 400


def test_an_answer_without_anything() -> None:
    response: Any = {}
    assert "GetObject bucket1/key" in raised(ClientError(response, "GetObject")).message


def test_what_a_server_repeats_of_the_request_is_left_out() -> None:
    error = answer(403, "SignatureDoesNotMatch", "The signature does not match")
    error.response["Error"]["StringToSign"] = SECRET  # type: ignore[typeddict-unknown-key]
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"authorization": SECRET}
    found = raised(error)
    assert SECRET not in found.message + found.hint
