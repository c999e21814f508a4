"""Hints that depend on the settings: certificates, addressing, temporary keys."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, SSLError

from rwm.config import Credentials, S3Settings
from rwm.config.ca_file import CaFile
from rwm.errors import AccessDenied, Unreachable
from rwm.s3 import connect
from rwm.s3.error_hints import answer_hint, connection_hint
from tests.unit.rwm.s3.responses import Serve

URL = "https://s3.test"
SETTINGS = S3Settings(URL, Credentials("key", "secret"), ca_file=CaFile(Path("/etc/ca.pem"), "AWS_CA_BUNDLE"))
VIRTUAL = replace(SETTINGS, addressing="virtual")
UNKNOWN = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate"
MISMATCH = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for"
UNKNOWN_KEY = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>"


def tls_error(text: str) -> SSLError:
    return SSLError(endpoint_url=URL, error=ssl.SSLError(text))


def test_an_unknown_certificate_names_the_file_and_the_setting() -> None:
    hint = connection_hint(tls_error(UNKNOWN), SETTINGS)
    assert "/etc/ca.pem (AWS_CA_BUNDLE)" in hint
    assert "s3_ca_file" in hint
    assert "boto3's own list" in connection_hint(tls_error(UNKNOWN), replace(SETTINGS, ca_file=None))


def test_a_certificate_of_another_host_is_no_matter_of_the_file() -> None:
    error = tls_error(MISMATCH)
    assert connection_hint(error, SETTINGS) == "the certificate is of another host: check s3_endpoint_url"
    assert "s3_addressing: path" in connection_hint(error, VIRTUAL)


def test_a_host_of_a_bucket_may_not_exist() -> None:
    error = EndpointConnectionError(endpoint_url="https://bucket1.s3.test/")
    assert not connection_hint(error, SETTINGS)
    assert "s3_addressing: path" in connection_hint(error, VIRTUAL)


def test_other_tls_errors_are_no_matter_of_the_file() -> None:
    assert not connection_hint(tls_error("[SSL: WRONG_VERSION_NUMBER]"), SETTINGS)


@pytest.mark.parametrize(
    ("code", "keys", "hinted"),
    [
        ("InvalidAccessKeyId", Credentials("ASIAEXAMPLE", "s"), True),
        ("InvalidAccessKeyId", Credentials("ASIAEXAMPLE", "s", "token"), False),
        ("InvalidAccessKeyId", Credentials("AKIAEXAMPLE", "s"), False),
        ("NoSuchKey", Credentials("ASIAEXAMPLE", "s"), False),
    ],
)
def test_a_temporary_key_without_a_token(code: str, keys: Credentials, hinted: bool) -> None:
    assert ("s3_session_token" in answer_hint(code, replace(SETTINGS, credentials=keys))) == hinted


def test_the_hint_is_that_of_the_error(serve: Serve) -> None:
    server = serve((403, {}, UNKNOWN_KEY))
    with pytest.raises(AccessDenied) as error:
        server.get("bucket1", "key")
    assert "the server does not know this access key" in error.value.hint
    temporary = connect(replace(server.settings, credentials=Credentials("ASIAEXAMPLE", "s")))
    with pytest.raises(AccessDenied) as error:
        temporary.get("bucket1", "key")
    assert error.value.hint == "s3_access_key is a temporary key (ASIA…), which needs s3_session_token"


def test_a_connection_that_fails_has_one_hint() -> None:
    s3 = connect(S3Settings("http://localhost:1", Credentials("key", "secret"), addressing="virtual"), attempts=2)
    with pytest.raises(Unreachable) as error:
        s3.get("bucket1", "key")
    assert error.value.hint.count("s3_addressing") == 1
