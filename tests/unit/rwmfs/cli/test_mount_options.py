"""The options of ``rwmfs mount``: their values, and precedence."""

from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path

import click
import pytest

from rwm.console import current_app, parse_size
from rwm.errors import ConfigError, StateNotFound, UsageError
from rwm.location import Location
from rwmfs.access import Access
from rwmfs.cli import mount_options
from rwmfs.cli.fstab_options import FLAG_OPTIONS, VALUE_OPTIONS
from rwmfs.cli.main import cli, mount
from rwmfs.cli.mount_options import MAX_ID, parse_gid, parse_uid, parse_umask
from rwmfs.mount import MountRequest

SETTINGS = {
    "s3_endpoint_url": "http://127.0.0.1:9",
    "s3_access_key": "a",
    "s3_secret_key": "b",
    "index_path": "index.sqlite",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a mountpoint, an index and two configurations."""
    monkeypatch.chdir(tmp_path)
    Path("mnt").mkdir()
    Path("index.sqlite").touch()
    for name, values in {"rwm.conf": {}, "other.conf": {"cache_size": "7G", "cache_dir": "/c"}}.items():
        Path(name).touch(mode=0o600)
        Path(name).write_text(json.dumps(SETTINGS | values))
    return tmp_path


def built(*words: str) -> MountRequest:
    return mount_options.build_request(mount.make_context("mount", ["bucket1", "mnt", "--at", "latest", *words]))


def test_defaults(here: Path, home: Path) -> None:
    request = built()
    assert (request.location, request.at, request.mountpoint) == (Location("bucket1"), "latest", here / "mnt")
    assert (request.buffer_size, request.connections) == (256 << 20, 16)
    assert request.cache_dir == request.config.cache_dir == home / ".cache" / "rwm"
    assert request.cache_size == parse_size(request.config.cache_size)
    assert request.access == Access(os.getuid(), os.getgid(), 0)
    assert (request.allow_other, request.foreground, request.label) == (False, False, None)
    assert request.log_file == home / ".local/state/rwm/log/rwmfs-bucket1.log"


def test_without_an_index_nothing_is_made(here: Path, home: Path) -> None:
    Path("index.sqlite").unlink()
    before = sorted(here.iterdir())
    with pytest.raises(StateNotFound, match=r"there is no index at .*index\.sqlite yet") as error:
        built()
    assert "`rwm state sync bucket1` makes it" in error.value.hint
    assert (sorted(here.iterdir()), list(home.iterdir())) == (before, [])


def test_the_log_of_the_configuration(here: Path) -> None:
    Path("rwm.conf").write_text(json.dumps(SETTINGS | {"log_path": "log/mounts"}))
    assert built().log_file == here / "log/mounts"
    assert built("--log-file", "other").log_file == here / "other"
    assert built("--foreground").log_file is None


EXPLICIT = {
    "allow_other": "",
    "uid": "4711",
    "gid": "4712",
    "umask": "0027",
    "cache_dir": "d",
    "cache_size": "0",
    "buffer_size": "1.5MiB",
    "connections": "128",
    "config": "other.conf",
    "log_file": "log",
}


def assert_explicit(request: MountRequest, here: Path) -> None:
    assert request.allow_other
    assert request.access == Access(4711, 4712, 0o027)
    assert (request.cache_dir, request.cache_size) == (here / "d", 0)
    assert (request.buffer_size, request.connections) == (3 << 19, 128)
    assert request.config.path == Path("other.conf")
    assert request.log_file == here / "log"


def test_every_option_works_on_its_own_and_within_o(here: Path) -> None:
    assert set(EXPLICIT) | {"at"} == {*VALUE_OPTIONS, *FLAG_OPTIONS}
    words = [word for name, value in EXPLICIT.items() for word in (f"--{name.replace('_', '-')}", value) if word]
    assert_explicit(built(*words), here)
    options = [f"{name}={value}" if value else name for name, value in EXPLICIT.items()]
    assert_explicit(built("-o", ",".join(options)), here)
    assert_explicit(built(*(word for option in reversed(options) for word in ("-o", option))), here)


def test_the_state_may_be_given_within_o() -> None:
    context = mount.make_context("mount", ["-o", "ro,at=2026-11-20", "bucket1", "mnt"])
    assert mount_options.build_request(context).at == "2026-11-20"


def test_an_explicit_option_overrides_o_in_any_order() -> None:
    request = built("-o", "at=other,connections=3,uid=1,config=missing.conf", "--connections", "4", "-c", "other.conf")
    assert (request.at, request.connections, request.access.uid) == ("latest", 4, 1)
    request = built("--umask", "077", "-o", "umask=0,buffer_size=1")
    assert (request.access.umask, request.buffer_size) == (0o077, 1)


def test_config_before_the_command_overrides_o() -> None:
    parent = cli.make_context("rwmfs", ["-c", "other.conf", "mount"])
    context = mount.make_context("mount", ["bucket1", "mnt", "-o", "at=latest,config=missing.conf"], parent)
    assert current_app(context).config.path == Path("other.conf")


def test_cache_options_default_to_the_configuration() -> None:
    request = built("-c", "other.conf")
    assert (request.cache_dir, request.cache_size) == (Path("/c"), 7 << 30)


def test_an_invalid_cache_size_in_the_configuration_is_an_error() -> None:
    Path("rwm.conf").write_text(json.dumps(SETTINGS | {"cache_size": "much"}))
    with pytest.raises(ConfigError, match=r"rwm\.conf: cache_size: 'much' is not a size"):
        built()
    assert built("--cache-size", "1G").cache_size == 1 << 30


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--uid", "nobody-like-that"], "'--uid': 'nobody-like-that' is not a user"),
        (["-o", "gid=nobody-like-that"], "'--gid': 'nobody-like-that' is not a group"),
        (["--umask", "8"], "'--umask': '8' is not a umask"),
        (["--cache-size", "much"], "'--cache-size': 'much' is not a size"),
        (["--buffer-size", "-1"], "'--buffer-size': '-1' is not a size"),
        (["--connections", "0"], "'--connections': 0 is not in the range"),
        (["-o", "connections=129"], "'--connections': 129 is not in the range"),
    ],
)
def test_invalid_values_are_usage_errors(words: list[str], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        built(*words)
    assert message in caught.value.format_message()


def test_invalid_options_within_o_are_usage_errors() -> None:
    for option in ("rw", "nothing", "at="):
        with pytest.raises(UsageError, match=option.rstrip("=")):
            built("-o", option)


def test_completion_ignores_invalid_options_within_o() -> None:
    mount.make_context("mount", ["-o", "nothing"], resilient_parsing=True)


def test_parse_size() -> None:
    sizes = {"0": 0, "17": 17, "1K": 1024, "256M": 256 << 20, "1.5 GiB": 3 << 29, " 2tb ": 2 << 40}
    assert {text: parse_size(text) for text in sizes} == sizes
    for wrong in ("", "M", "1X", "-1", "1e3", "1,5M", "1 2", "9" * 400, "١"):
        with pytest.raises(ValueError, match="is not a size"):
            parse_size(wrong)


def test_parse_umask() -> None:
    assert [parse_umask(text) for text in ("0", "077", "0077", "777", "22")] == [0, 0o077, 0o077, 0o777, 0o022]
    for wrong in ("", "8", "1777", "0o77", "-1", "00077", "u=r"):
        with pytest.raises(ValueError, match="octal"):
            parse_umask(wrong)


def test_parse_uid_and_gid() -> None:
    assert parse_uid(pwd.getpwuid(0).pw_name) == parse_uid("0") == 0
    assert parse_gid(grp.getgrgid(0).gr_name) == parse_gid("0") == 0
    assert parse_uid(str(MAX_ID)) == parse_gid(str(MAX_ID)) == MAX_ID
    for wrong in ("", "-1", str(MAX_ID + 1), "x" * 40, "a\0b", "٣"):
        with pytest.raises(ValueError, match="is not a user"):
            parse_uid(wrong)
        with pytest.raises(ValueError, match="is not a group"):
            parse_gid(wrong)
