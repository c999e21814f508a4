"""The client ignores the environment, but for proxies and the CA bundle."""

from __future__ import annotations

import botocore.session
import pytest

from rwm.s3 import Credentials, connect
from rwm.s3.client import _client

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
        [name for name in VARIABLES if name != "AWS_CA_BUNDLE"],
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
        client = connect("http://s3.test", "key", "secret").client
        sts = _client("sts", None, Credentials("key", "secret"), "eu-west-1")
    plain = connect("http://s3.test", "key", "secret").client
    assert client.meta.endpoint_url == "http://s3.test"
    assert client.meta.region_name == "us-east-1"
    assert sts.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
    assert settings(client) == settings(plain)


def settings(client: object) -> dict[str, object]:
    found: dict[str, object] = dict(vars(client.meta.config)["_user_provided_options"])  # type: ignore[attr-defined]
    return found | {name: vars(client.meta.config)[name] for name in ("retries", "s3", "signature_version")}  # type: ignore[attr-defined]


def test_proxies_and_the_ca_bundle_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/company.pem")
    session = connect("https://s3.test", "key", "secret").client._endpoint.http_session  # type: ignore[attr-defined]
    assert session._verify == "/etc/company.pem"
    assert session._proxy_config.proxy_url_for("https://s3.test/bucket1") == "http://proxy.test:3128"
