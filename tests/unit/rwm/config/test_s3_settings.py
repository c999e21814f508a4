"""Server and account: one source of credentials, addressing, trust and proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.config import Config, Credentials, InstanceRole, Profile, load_config
from rwm.config.ca_file import CaFile
from rwm.config.s3_settings import resolve_addressing
from rwm.errors import ConfigError

ENDPOINT = "s3_endpoint_url: https://s3.test\n"
KEYS = "s3_access_key: key\ns3_secret_key: secret\n"
TOKEN = "s3_session_token: token\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    return tmp_path


def load(directory: Path, text: str, **environment: str) -> Config:
    path = directory / "rwm.conf"
    path.touch(mode=0o600)
    path.write_text(ENDPOINT + text)
    return load_config(path, environment)


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        (KEYS, Credentials("key", "secret")),
        (KEYS + TOKEN, Credentials("key", "secret", "token")),
        ("s3_profile: admin\n", Profile("admin")),
        ("s3_instance_role: true\n", InstanceRole()),
        (KEYS + "s3_instance_role: false\n", Credentials("key", "secret")),
    ],
)
def test_each_source_of_credentials(directory: Path, text: str, credentials: object) -> None:
    assert load(directory, text).s3_settings({}).credentials == credentials


@pytest.mark.parametrize(
    ("text", "environment", "says"),
    [
        (KEYS + "s3_profile: admin\n", {}, "s3_access_key and s3_profile are sources of credentials"),
        (TOKEN + "s3_profile: admin\n", {}, "s3_session_token and s3_profile are"),
        ("s3_profile: admin\ns3_instance_role: true\n", {}, "s3_profile and s3_instance_role are"),
        (KEYS, {"RWM_S3_PROFILE": "admin"}, r"s3_access_key and s3_profile \(RWM_S3_PROFILE\) are"),
        ("s3_profile: a\n", {"RWM_S3_SECRET_KEY": "hunter2"}, r"s3_secret_key \(RWM_S3_SECRET_KEY\) and s3_profile"),
    ],
)
def test_two_sources_of_credentials_are_refused(
    directory: Path, text: str, environment: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        load(directory, text, **environment)
    assert "keep the one that is meant" in error.value.message
    assert "hunter2" not in error.value.message


def test_no_source_of_credentials_names_all_of_them(directory: Path) -> None:
    with pytest.raises(ConfigError, match="does not set s3_access_key") as error:
        load(directory, "").s3_settings({})
    assert "s3_profile" in error.value.hint
    assert "s3_instance_role" in error.value.hint


def test_variables_override_temporary_credentials(directory: Path) -> None:
    found = load(directory, KEYS + TOKEN, RWM_S3_SESSION_TOKEN="new").s3_settings({})
    assert found.credentials == Credentials("key", "secret", "new")
    assert load(directory, "", RWM_S3_PROFILE="p").s3_settings({}).credentials == Profile("p")
    assert load(directory, "", RWM_S3_INSTANCE_ROLE="true").s3_settings({}).credentials == InstanceRole()


def test_a_token_of_the_file_is_not_used_with_a_key_of_the_environment(directory: Path) -> None:
    config = load(directory, KEYS + TOKEN, RWM_S3_ACCESS_KEY="a", RWM_S3_SECRET_KEY="b")
    assert config.s3_settings({}).credentials == Credentials("a", "b")


def test_secrets_are_not_shown(directory: Path) -> None:
    config = load(directory, KEYS + 's3_session_token: "hunter2"\n')
    environment = {"HTTPS_PROXY": "http://me:hunter3@proxy"}
    for shown in (repr(config), config.model_dump_json(), repr(config.s3_settings(environment))):
        assert "hunter" not in shown
        assert "'secret'" not in shown


def test_one_settings_value_has_all_of_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = KEYS + "s3_region: eu\ns3_addressing: virtual\ns3_ca_file: ca.pem\n"
    monkeypatch.chdir("/")
    found = load(directory, text).s3_settings({"HTTPS_PROXY": "http://proxy"})
    assert (found.region, found.addressing) == ("eu", "virtual")
    assert found.ca_file == CaFile(directory / "ca.pem", "s3_ca_file")
    assert found.proxies.choose(found.endpoint_url) == "http://proxy"


def test_a_variable_names_a_file_where_the_command_is_run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "etc").mkdir()
    monkeypatch.chdir(directory)
    found = load(directory / "etc", KEYS, RWM_S3_CA_FILE="ca.pem").s3_settings({})
    assert found.ca_file == CaFile(directory / "ca.pem", "s3_ca_file")


def test_a_missing_ca_file_matters_where_certificates_are_checked(directory: Path) -> None:
    text = KEYS + "s3_ca_file: none.pem\n"
    with pytest.raises(ConfigError, match=r"s3_ca_file .*none.pem: No such file"):
        load(directory, text).s3_settings({})
    assert load(directory, text, RWM_S3_ENDPOINT_URL="http://s3.test").s3_settings({}).ca_file is None


@pytest.mark.parametrize(
    ("url", "addressing"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "virtual"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "virtual"),
        ("https://storage.googleapis.com", "virtual"),
        ("https://oss-eu-central-1.aliyuncs.com:443", "virtual"),
        ("https://s3.test", "path"),
        ("https://amazonaws.com.s3.test", "path"),
    ],
)
def test_auto_is_what_the_server_prefers(url: str, addressing: str) -> None:
    assert resolve_addressing("auto", url) == addressing
    assert resolve_addressing("path", url) == "path"


def test_an_unknown_addressing_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"s3_addressing: .*'path', 'virtual' or 'auto'"):
        load(directory, "s3_addressing: dns\n")
