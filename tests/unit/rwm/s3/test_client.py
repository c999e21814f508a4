"""The client follows its settings and ignores the environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
import pytest

from rwm.config import Credentials, S3Settings
from rwm.config.ca_file import CaFile
from rwm.config.proxy import ProxyVariables
from rwm.config.s3_settings import Addressing
from rwm.s3 import connect
from rwm.s3.client import _client, sts_endpoint

SETTINGS = S3Settings("http://s3.test", Credentials("key", "secret"))
AWS = S3Settings("https://s3.eu-west-1.amazonaws.com", Credentials("key", "secret"), "eu-west-1")

VARIABLES = sorted(
    {
        variable
        for _, variables, _, _ in botocore.session.Session.SESSION_VARIABLES.values()
        for variable in ([variables] if isinstance(variables, str) else variables or [])
    }
    | {
        "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "AWS_S3_USE_ARN_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
    }
)


def test_variables_of_botocore_are_found() -> None:
    assert {"AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_DEFAULTS_MODE"} <= set(VARIABLES)


@pytest.mark.parametrize("value", ["true", "nonsense", "http://127.0.0.1:1"])
@pytest.mark.parametrize(
    "variables",
    [
        [*VARIABLES, "HTTP_PROXY", "HTTPS_PROXY"],
        ["AWS_ENDPOINT_URL"],  # others of the first set override this one and the next
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"],
        ["AWS_DEFAULT_PROFILE"],
    ],
    ids=lambda names: names[0] if len(names) < 3 else "all",
)
def test_variables_of_the_aws_command_are_ignored(
    monkeypatch: pytest.MonkeyPatch, variables: list[str], value: str
) -> None:
    with monkeypatch.context() as patch:
        for variable in variables:
            patch.setenv(variable, value)
        client = connect(SETTINGS).client
        sts = _client("sts", sts_endpoint(AWS), AWS)
        assert not client._endpoint.http_session._proxy_config.proxy_url_for("http://s3.test/")  # type: ignore[attr-defined]
        assert client._endpoint.http_session._verify is True  # type: ignore[attr-defined]
    plain = connect(SETTINGS).client
    assert client.meta.endpoint_url == "http://s3.test"
    assert client.meta.region_name == "us-east-1"
    assert sts.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
    assert settings(client) == settings(plain)


def settings(client: object) -> dict[str, object]:
    found: dict[str, object] = dict(vars(client.meta.config)["_user_provided_options"])  # type: ignore[attr-defined]
    return found | {name: vars(client.meta.config)[name] for name in ("retries", "s3", "signature_version")}  # type: ignore[attr-defined]


SYSTEM = CaFile(Path("/etc/company.pem"), "the system's store", is_system=True)
EVERYTHING = S3Settings(
    "https://s3.eu-west-1.amazonaws.com",
    Credentials("key", "secret", "token"),
    "eu-west-1",
    "virtual",
    SYSTEM,
    ProxyVariables(https="http://proxy.test:3128"),
)


@pytest.mark.parametrize("service", ["s3", "sts"])
def test_each_client_follows_all_settings(service: str) -> None:
    url = EVERYTHING.endpoint_url if service == "s3" else sts_endpoint(EVERYTHING)
    client = _client(service, url, EVERYTHING)
    session = client._endpoint.http_session
    assert session._verify == "/etc/company.pem"
    assert session._proxy_config.settings == {"proxy_ca_bundle": "/etc/company.pem"}
    assert session._proxy_config.proxy_url_for(f"{url}/bucket1") == "http://proxy.test:3128"
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.s3["addressing_style"] == "virtual"
    assert client._request_signer._credentials.get_frozen_credentials() == ("key", "secret", "token", None)


@pytest.mark.parametrize(
    ("endpoint", "sts"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "https://sts.eu-west-1.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com.cn", "https://sts.eu-west-1.amazonaws.com.cn"),
        ("http://s3.test:8333", "http://s3.test:8333"),
        ("https://amazonaws.com", "https://amazonaws.com"),
    ],
)
def test_sts_is_that_of_the_region_or_the_server(endpoint: str, sts: str) -> None:
    assert sts_endpoint(replace(EVERYTHING, endpoint_url=endpoint)) == sts


@pytest.mark.parametrize(
    ("addressing", "host", "path"), [("path", "s3.test", "/bucket1/key"), ("virtual", "bucket1.s3.test", "/key")]
)
def test_buckets_are_addressed_by_path_or_host(addressing: Addressing, host: str, path: str) -> None:
    url = urlsplit(
        connect(replace(SETTINGS, addressing=addressing)).client.generate_presigned_url(
            "get_object", Params={"Bucket": "bucket1", "Key": "key"}
        )
    )
    assert (url.hostname, url.path) == (host, path)
