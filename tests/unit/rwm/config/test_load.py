"""Configuration: files of the original tool load, errors name file and key, secrets stay secret."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.config import Config, Credentials, S3Settings, find_config, load_config, search_path
from rwm.errors import ConfigError
from tests import ROOT

ORIGINAL = """
# as the original tool reads it
s3_endpoint_url: "http://localhost:7480"
s3_access_key: "user1"
s3_secret_key: "secret1"
restic_bucket: "rwmbackup1"
restic_password: "secret2"

backup_extras:
  - "--verbose"

backups:
  backup1:
    filesdirs:
      - "/etc"
      - "/home"
    excludes:
      - "*.tmp"
    tags:
      - "host1"
    extras:
      - "--one-file-system"
    prerun:
      - "echo prerun"
    postrun:
      - "echo postrun"
  backup2:
    filesdirs: ["/var"]

retention:
  keep-daily: "60"
  keep-within: "60d"

lock_path: "/var/run/rwm.lock"
autotags: true
"""


SECRET = "!hunter2-DEADBEEF"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rwm.conf"
    path.touch(mode=0o600)
    return path


def read(path: Path, text: str, **environment: str) -> Config:
    path.write_text(text)
    return load_config(path, environment)


def refused(path: Path, text: str | bytes) -> str:
    """The message for an invalid file."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        load_config(path, {})
    assert str(path) in error.value.message
    assert "\n" not in error.value.message
    return error.value.message


def test_a_configuration_of_the_original_tool_loads_unchanged(file: Path) -> None:
    config = read(file, ORIGINAL)
    assert config.s3_settings({}) == S3Settings("http://localhost:7480", Credentials("user1", "secret1"))
    assert config.restic_bucket == "rwmbackup1"
    assert config.restic_password
    assert config.restic_password.get_secret_value() == "secret2"
    assert config.backup_extras == ["--verbose"]
    assert list(config.backups) == ["backup1", "backup2"]
    first = config.backups["backup1"]
    assert (first.filesdirs, first.excludes, first.tags) == (["/etc", "/home"], ["*.tmp"], ["host1"])
    assert (first.extras, first.prerun, first.postrun) == (["--one-file-system"], ["echo prerun"], ["echo postrun"])
    assert config.backups["backup2"].postrun == []
    assert config.retention == {"keep-daily": "60", "keep-within": "60d"}
    assert (config.lock_path, config.autotags) == (Path("/var/run/rwm.lock"), True)
    assert config.warnings == ()
    assert config.path == file


@pytest.mark.parametrize("name", ["rwm-admin.conf", "rwm-backups.conf", "rwm-restic.conf"])
def test_examples_load(name: str) -> None:
    config = load_config(ROOT / "examples" / name, {})
    assert config.s3_settings().endpoint_url
    assert (name == "rwm-admin.conf") == (config.restic_bucket is None)


def test_defaults_are_in_the_home_directory(home: Path) -> None:
    config = load_config(None, {})
    assert config.path is None
    assert config.index_path == home / ".local/share/rwm/index.sqlite"
    assert config.lock_path == home / ".local/share/rwm/backup.lock"
    assert (config.cache_dir, config.cache_size) == (home / ".cache/rwm", "4G")
    assert (config.backups, config.retention, config.s3_region) == ({}, {}, "us-east-1")


def test_a_size_may_be_a_number(file: Path) -> None:
    assert read(file, "cache_size: 0\n").cache_size == "0"
    assert read(file, "cache_size: 1.5 GiB\n").cache_size == "1.5 GiB"
    assert "cache_size" in refused(file, "cache_size: true\n")


def test_an_empty_file_is_an_empty_configuration(file: Path) -> None:
    assert read(file, "# nothing\n").backups == {}


def test_a_key_without_a_value_keeps_its_default(file: Path) -> None:
    text = "lock_path:\nretention:\nbackups:\nbackup_extras:\nautotags:\n"
    assert read(file, text).model_dump() == read(file, "").model_dump()


def test_a_single_string_is_a_list_of_one(file: Path) -> None:
    config = read(file, "backups: {etc: {filesdirs: /etc, prerun: 'true', tags: }}\nbackup_extras: --verbose\n")
    assert (config.backups["etc"].filesdirs, config.backups["etc"].prerun) == (["/etc"], ["true"])
    assert config.backups["etc"].tags == []
    assert config.backup_extras == ["--verbose"]


def test_retention_values_may_be_numbers(file: Path) -> None:
    assert read(file, "retention: {keep-last: 5, keep-within-daily: 7d}").retention == {
        "keep-last": "5",
        "keep-within-daily": "7d",
    }


@pytest.mark.parametrize(
    ("text", "key", "cause"),
    [
        ("s3_acess_key: x", "s3_acess_key", "unknown key (a typo?)"),
        ("backups: {etc: {filesdirs: [/etc], exclude: [x]}}", "backups.etc.exclude", "unknown key (a typo?)"),
        ("backups: {etc: {excludes: [x]}}", "backups.etc.filesdirs", "required"),
        (
            "backups: {etc: {filesdirs: [/etc, 7]}}",
            "backups.etc.filesdirs.1",
            "a number, not as text",
        ),
        ("backups: {etc: {filesdirs: {a: b}}}", "backups.etc.filesdirs", "list"),
        ("backups: {etc: }", "backups.etc", "key: value"),
        ("backups: [etc]", "backups", "key: value"),
        ("s3_access_key: 123456", "s3_access_key", "a number, not as text"),
        ("s3_endpoint_url: [http://x]", "s3_endpoint_url", "a text"),
        ("autotags: perhaps", "autotags", "true or false"),
        ("lock_path: [x]", "lock_path", "path"),
        ("retention: [keep-last]", "retention", "key: value"),
        ("retention: {keep-forever: 5}", "keep-forever", "not a retention option of restic forget"),
        ("retention: {keep-daily: }", "keep-daily", "needs a number or a duration"),
        ("retention: {keep-daily: yes}", "keep-daily", "needs a number or a duration"),
        ("path: /x", "path", "unknown key"),
        ("warnings: [x]", "warnings", "unknown key"),
        ("7: x", "7", "unknown key"),
        ("[1, 2]", "top level", "key: value"),
        ("just text", "top level", "key: value"),
    ],
)
def test_an_error_has_file_key_and_cause(file: Path, text: str, key: str, cause: str) -> None:
    message = refused(file, text)
    assert key in message
    assert cause in message


def test_all_errors_are_reported_at_once(file: Path) -> None:
    message = refused(file, "restic_pasword: x\nautotags: perhaps\nbackups: {etc: {}}\n")
    assert all(key in message for key in ("restic_pasword:", "autotags:", "backups.etc.filesdirs:"))


def test_a_yaml_error_has_line_and_column(file: Path) -> None:
    assert "line 2, column 1: not valid YAML" in refused(file, "backups: {\n")
    assert "line 2, column 5: not valid YAML" in refused(file, "a: b\nb: c: d\n")


@pytest.mark.parametrize(
    "text", [b"\xff\xfe\x00", b"a: \x01", b"a: 2026-02-30", b"a: !!int x", b"!!bool x", b"!!timestamp x"]
)
def test_invalid_yaml_values(file: Path, text: bytes) -> None:
    assert "not valid YAML" in refused(file, text)


def test_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    for path, cause in ((tmp_path / "none.conf", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=cause) as error:
            load_config(path, {})
        assert str(path) in error.value.message
        assert "--config" in error.value.hint


@pytest.mark.parametrize("key", ["s3_endpoint_url", "s3_access_key", "s3_secret_key"])
def test_a_missing_key_is_reported_with_the_ways_to_set_it(file: Path, key: str) -> None:
    lines = [line for line in ORIGINAL.splitlines() if not line.startswith(key)]
    config = read(file, "\n".join(lines))
    with pytest.raises(ConfigError) as error:
        config.s3_settings()
    assert error.value.message == f"the configuration {file} does not set {key}"
    assert f"RWM_{key.upper()} in the environment" in error.value.hint


def test_a_missing_key_without_a_file() -> None:
    with pytest.raises(ConfigError, match="no configuration file was found, and the environment does not set"):
        load_config(None, {}).required("restic_bucket")


@pytest.mark.parametrize(
    "text",
    [
        "s3_secret_key: [{}]",
        "s3_secret_key: {{a: {}}}",
        "restic_password: [{}]",
        "restic_password: {{{}: 1}}",
        "autotags: {}",
        "retention: {{keep-last: [{}]}}",
        "backups: {}",
        "lock_path: [{}]",
    ],
)
def test_messages_never_contain_values(file: Path, text: str) -> None:
    message = refused(file, text.format(f'"{SECRET}"'))
    assert "hunter2" not in message
    assert "DEADBEEF" not in message


@pytest.mark.parametrize(
    "mark", ["!", "*", "&a &", "!!", "!a!", "%", "@", "`", "|", ">", "'", '"', "!<", "!!python/x:", "? "]
)
def test_yaml_errors_do_not_quote_secrets(file: Path, mark: str) -> None:
    file.write_text(f"restic_password: {mark}hunter2DEADBEEF\nb: c\n\nx: [\n")
    with pytest.raises(ConfigError) as error:
        load_config(file, {})
    for text in (error.value.message, error.value.hint):
        assert "hunter2" not in text
        assert "DEADBEEF" not in text
    assert error.value.__suppress_context__


@given(text=st.text(alphabet="a:-[]{}!*&%@`|>'\"#,? \n", max_size=12))
def test_any_text_loads_or_is_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("config") / "rwm.conf"
    file.write_text(f"restic_password: {text}hunter2\n")
    try:
        load_config(file, {})
    except ConfigError as error:
        assert str(file) in error.message
        assert "hunter2" not in error.message


def test_repr_and_dumps_hide_secrets(file: Path) -> None:
    config = read(file, ORIGINAL)
    for shown in (repr(config), str(config), repr(config.model_dump()), config.model_dump_json()):
        assert "secret1" not in shown
        assert "secret2" not in shown


def test_option_then_variable_then_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rwm.conf").touch()
    assert find_config("a.conf", {"RWM_CONFIG": "b.conf"}) == Path("a.conf")
    assert find_config(None, {"RWM_CONFIG": "b.conf"}) == Path("b.conf")
    assert find_config(None, {}) == Path("rwm.conf")


def test_the_search_path(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert search_path() == [Path("rwm.conf"), home / ".config/rwm/rwm.conf", Path("/etc/rwm/rwm.conf")]
    second = home / ".config/rwm/rwm.conf"
    second.parent.mkdir(parents=True)
    second.touch()
    assert find_config(None, {}) == second


def test_variables_override_the_s3_values_of_the_file(file: Path) -> None:
    changed = {"RWM_S3_ENDPOINT_URL": "http://other", "RWM_S3_ACCESS_KEY": "a", "RWM_S3_SECRET_KEY": "b"}
    found = S3Settings("http://other", Credentials("a", "b"), "eu")
    assert read(file, ORIGINAL, **changed, RWM_S3_REGION="eu").s3_settings({}) == found
    assert read(file, ORIGINAL, RWM_S3_SECRET_KEY="b").s3_settings({}).credentials == Credentials("user1", "b")
    assert read(file, ORIGINAL, RWM_S3_SECRET_KEY="", RWM_RESTIC_BUCKET="x").restic_bucket == "rwmbackup1"
    assert load_config(None, changed).s3_settings({}) == replace(found, region="us-east-1")


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o666, True)]
)
def test_a_file_accessible_to_others_is_warned_about(file: Path, mode: int, warned: bool) -> None:
    file.write_text(ORIGINAL)
    file.chmod(mode)
    warnings = load_config(file, {}).warnings
    assert bool(warnings) == warned
    assert all(str(file) in text and f"{mode:04o}" in text and "chmod 0600" in text for text in warnings)


def in_search_path(monkeypatch: pytest.MonkeyPatch, file: Path, mode: int = 0o600, owner: int | None = None) -> None:
    """Change to the directory of the file, so that it is found without being named."""
    monkeypatch.chdir(file.parent)
    file.write_text(ORIGINAL)
    file.chmod(mode)
    if owner is not None:
        os.chown(file, owner, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: owner)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_a_found_file_of_our_own_is_used(file: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    in_search_path(monkeypatch, file, mode)
    assert load_config(None, {}).restic_bucket == "rwmbackup1"


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_writable_by_others_is_used_only_if_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    in_search_path(monkeypatch, file, mode)
    with pytest.raises(
        ConfigError, match=f"rwm.conf was found in the search path, and can be written to .*{mode:04o}"
    ) as error:
        load_config(None, {})
    assert "--config rwm.conf" in error.value.hint
    assert load_config("rwm.conf", {}).warnings
    assert load_config(None, {"RWM_CONFIG": "rwm.conf"}).warnings


def test_a_file_of_another_user_is_used_only_if_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_search_path(monkeypatch, file, owner=12345)
    with pytest.raises(
        ConfigError, match=r"rwm\.conf was found in the search path, and belongs to another user"
    ) as error:
        load_config(None, {})
    assert "--config rwm.conf" in error.value.hint
    assert load_config("rwm.conf", {}).restic_bucket == "rwmbackup1"
    assert load_config(None, {"RWM_CONFIG": "rwm.conf"}).restic_bucket == "rwmbackup1"


def test_a_symbolic_link_of_another_user_is_used_only_if_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = file.parent / "there" / "rwm.conf"
    link.parent.mkdir()
    link.symlink_to(file)
    file.write_text(ORIGINAL)
    monkeypatch.chdir(link.parent)
    assert load_config(None, {}).restic_bucket == "rwmbackup1"
    found, others = link.lstat(), list(link.lstat())
    others[4] = 12345
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", lambda _: os.stat_result(others))
        with pytest.raises(ConfigError, match="belongs to another user"):
            load_config(None, {})
    assert link.lstat() == found


def test_a_tilde_is_expanded(file: Path, home: Path) -> None:
    keys = ("restic_password_file", "index_path", "lock_path", "log_path", "cache_dir")
    config = read(file, "".join(f"{key}: ~/{key}\n" for key in keys))
    assert [getattr(config, key) for key in keys] == [home / key for key in keys]
    assert "the home directory of ~ is unknown" in refused(file, "index_path: ~nobody-of-that-name/index\n")
    assert read(file, "index_path: /a/~/b\n").index_path == Path("/a/~/b")
