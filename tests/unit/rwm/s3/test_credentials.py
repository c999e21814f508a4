"""Credentials from a profile, or from the role of this machine; nothing else of the machine is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rwm.config import Credentials, InstanceRole, Profile, S3Settings
from rwm.errors import AccessDenied, ConfigError
from rwm.s3 import connect, current_credentials
from rwm.s3 import credentials as module

PROFILE = S3Settings("http://s3.test", Profile("admin"))
ROLE = S3Settings("http://s3.test", InstanceRole())


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # the machine of the tests may have one
    module._load_from_chain.cache_clear()
    yield
    module._load_from_chain.cache_clear()


@pytest.fixture
def aws(home: Path) -> Path:
    """The directory of the aws command's files."""
    directory = home / ".aws"
    directory.mkdir()
    (directory / "credentials").write_text(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
        "[admin]\naws_access_key_id = ASIA\naws_secret_access_key = secret\naws_session_token = token\n"
    )
    return directory


@dataclass
class Container:
    """The service that gives a container its credentials. ``lifetime``: of what it gives next, in seconds."""

    url: str = ""
    lifetime: float = 3600
    given: int = 0
    status: int = 200
    tokens: list[str] = field(default_factory=list)

    def answer(self) -> bytes:
        self.given += 1
        expiration = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        keys = {"AccessKeyId": f"ASIA{self.given}", "SecretAccessKey": "secret", "Token": f"token{self.given}"}
        return json.dumps({**keys, "Expiration": f"{expiration:%Y-%m-%dT%H:%M:%SZ}"}).encode()


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    service = Container()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.tokens.append(self.headers.get("Authorization", ""))
            body = service.answer()
            self.send_response(service.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic x")
    yield service
    server.shutdown()
    server.server_close()


def signing_key(settings: S3Settings) -> str:
    """The access key that a client signs with now."""
    url = connect(settings).client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    return url.partition("X-Amz-Credential=")[2].partition("%2F")[0]


def test_a_profile(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "theirs")
    assert current_credentials(PROFILE) == Credentials("ASIA", "secret", "token")
    assert signing_key(PROFILE) == "ASIA"


def test_a_profile_of_which_a_program_prints_the_keys(aws: Path) -> None:
    output = json.dumps({"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"})
    (aws / "answer.json").write_text(output)
    (aws / "config").write_text(f"[profile tool]\ncredential_process = cat {aws}/answer.json\n")
    assert current_credentials(replace(PROFILE, credentials=Profile("tool"))) == Credentials("a", "b", "c")


def test_only_the_credentials_of_a_profile_are_used(aws: Path) -> None:
    (aws / "config").write_text(
        "[profile admin]\nregion = eu-west-9\nendpoint_url = http://other\nca_bundle = /none\ns3 =\n"
        "  addressing_style = virtual\n"
    )
    client = connect(PROFILE).client
    assert (client.meta.region_name, client.meta.endpoint_url) == ("us-east-1", "http://s3.test")
    assert client.meta.config.s3["addressing_style"] == "path"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("container")
def test_a_profile_without_credentials_is_not_replaced_by_the_machines_role(aws: Path) -> None:
    (aws / "config").write_text("[profile empty]\nregion = eu\n")
    with pytest.raises(ConfigError, match="the profile empty gives no credentials"):
        connect(replace(PROFILE, credentials=Profile("empty")))


def test_an_unknown_profile_is_an_error_of_the_configuration(aws: Path) -> None:
    with pytest.raises(ConfigError, match=r"s3_profile: .*\(nobody\)") as error:
        connect(replace(PROFILE, credentials=Profile("nobody")))
    assert "list-profiles" in error.value.hint


def test_a_profile_that_needs_a_login_says_so(aws: Path) -> None:
    (aws / "config").write_text(
        "[profile sso]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://sso.test\n"
    )
    with pytest.raises(AccessDenied, match="credentials of the profile sso") as error:
        connect(replace(PROFILE, credentials=Profile("sso")))
    assert "aws sso login" in error.value.hint


def test_the_role_of_a_container(container: Container, aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the default profile of this user, and no keys of the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "theirs")
    assert current_credentials(ROLE) == Credentials("ASIA1", "secret", "token1")
    assert signing_key(ROLE) == "ASIA1"
    assert container.tokens == ["Basic x"]  # loaded once


def test_credentials_that_end_soon_are_renewed(container: Container) -> None:
    container.lifetime = 60
    client = connect(ROLE).client
    container.lifetime = 3600
    before = container.given
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert f"ASIA{before + 1}%2F" in url
    assert current_credentials(ROLE) == Credentials(f"ASIA{before + 1}", "secret", f"token{before + 1}")


def test_a_role_that_is_refused(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    container.status = 403
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises(AccessDenied, match="credentials of the instance role") as error:
        connect(ROLE)
    assert "secret" not in error.value.message


def test_a_machine_without_a_role() -> None:
    with pytest.raises(ConfigError, match="the instance role gives no credentials"):
        connect(ROLE)
