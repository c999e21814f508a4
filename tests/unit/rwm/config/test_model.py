"""Values of a configuration: literal secrets, one password, paths beside the file that names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rwm.config import Config, load_config
from rwm.errors import ConfigError

SECRET_KEYS = ("s3_access_key", "s3_secret_key", "s3_session_token", "restic_password")


def load(directory: Path, text: str, **environment: str) -> Config:
    path = directory / "rwm.conf"
    path.touch(mode=0o600)
    path.write_text(text)
    return load_config(path, environment)


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", ['" hunter2"', '"hunter2 "', '"hunter2\\n"', "'hunter2\t'"])
def test_a_secret_with_white_space_at_an_end_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"rwm.conf: {key}: has white space or a line end") as error:
        load(tmp_path, f"{key}: {value}\n")
    assert "hunter2" not in error.value.message


def test_the_same_goes_for_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"s3_secret_key \(RWM_S3_SECRET_KEY\): has white space"):
        load(tmp_path, "", RWM_S3_SECRET_KEY="hunter2\n")


def test_white_space_within_a_secret_is_a_part_of_it(tmp_path: Path) -> None:
    password = load(tmp_path, 'restic_password: "correct horse #1"\n').restic_password
    assert password is not None
    assert password.get_secret_value() == "correct horse #1"


@pytest.mark.parametrize(
    "text",
    [
        "restic_password: a\nrestic_password_file: /p\n",
        "restic_password_file: /p\nrestic_password_command: pass\n",
        "restic_password: a\nrestic_password_command: pass\n",
    ],
)
def test_two_sources_of_the_password_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"restic_password.* and restic_password_.* are both set"):
        load(tmp_path, text)


PATH_KEYS = ("s3_ca_file", "restic_password_file", "lock_path", "index_path", "log_path", "cache_dir")


@pytest.mark.parametrize("key", PATH_KEYS)
def test_a_relative_path_is_beside_the_configuration_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    config = load(Path("etc"), f"{key}: here/x\n")
    assert getattr(config, key) == tmp_path / "etc/here/x"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    assert load(tmp_path, "index_path: /var/lib/rwm/index.sqlite\n").index_path == Path("/var/lib/rwm/index.sqlite")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("restic_password: 0123\n", "restic_password: YAML reads this as a number"),
        ("s3_access_key: yes\n", "s3_access_key: YAML reads this as true or false"),
        ("restic_bucket: 2026-01-01\n", "restic_bucket: YAML reads this as a date"),
        ("restic_password: 1e3\nbackups: {a: {filesdirs: [1.5]}}\n", "filesdirs.0: YAML reads this as a number"),
    ],
)
def test_what_yaml_reads_as_something_else_needs_quotes(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match="put it in quotes") as error:
        load(tmp_path, text)
    assert says in error.value.message


def test_the_endpoint_is_normalised(tmp_path: Path) -> None:
    assert load(tmp_path, "s3_endpoint_url: ' HTTP://Host:80/'\n").s3_endpoint_url == "http://host:80"
    with pytest.raises(ConfigError, match="s3_endpoint_url: has no scheme: write https://host"):
        load(tmp_path, "s3_endpoint_url: host\n")
    with pytest.raises(ConfigError, match=r"s3_endpoint_url \(RWM_S3_ENDPOINT_URL\): has no scheme"):
        load(tmp_path, "", RWM_S3_ENDPOINT_URL="host")


@pytest.mark.parametrize(
    ("text", "location"),
    [("bucket1", "bucket1"), ("bucket1/", "bucket1"), ("bucket1/host1/", "bucket1/host1"), ("b.1/a b/c", "b.1/a b/c")],
)
def test_the_bucket_is_a_location(tmp_path: Path, text: str, location: str) -> None:
    config = load(tmp_path, f"restic_bucket: {text}\n")
    assert (config.restic_bucket, str(config.location)) == (location, location)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bucket1//host1", "'bucket1//host1' is no location: empty name in its prefix; write BUCKET or BUCKET/PREFIX"),
        ("bucket1/../host1", "'bucket1/../host1' is no location: name is . or .. in its prefix; write BUCKET or"),
        ("bucket1/rwm", "'bucket1/rwm' is no location: RWM keeps its own objects there; write BUCKET or"),
        ("s3:http://user:hunter2@host/bucket1/host1", "a URL is no location: the server is s3_endpoint_url; write buc"),
        ("s3://bucket1", "a URL is no location: the server is s3_endpoint_url; write bucket1"),
    ],
)
def test_a_bucket_that_is_no_location(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, f"restic_bucket: {text}\n")
    assert error.value.message.startswith(f"{tmp_path / 'rwm.conf'}: restic_bucket: {says}")
    assert "hunter2" not in error.value.message


def test_keep_rules_and_locks(tmp_path: Path) -> None:
    text = "keep: {last: 5, within: 14d, yearly: unlimited}\nlock: {mode: compliance, every: 12h}\n"
    config = load(tmp_path, text)
    assert config.keep.rules() == {"last": "5", "within": "14d", "yearly": "unlimited"}
    assert (config.lock.mode, config.lock.every, config.lock.step) == ("compliance", "12h", "10d")
    assert load(tmp_path, "").keep.rules() == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keep: {daily: some}", "keep.daily: expected a number, or unlimited"),
        ("keep: {daily: -1}", "keep.daily: expected a number, or unlimited"),
        ("keep: {within: 30}", "keep.within: expected a duration: write it as 30d"),
        ("keep: {dayly: 3}", "keep.dayly: unknown key"),
        ("lock: {mode: legal}", "lock.mode"),
        ("lock: {every: often}", "lock.every: expected a duration"),
    ],
)
def test_wrong_keep_rules_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(tmp_path, text)
