"""``mount.rwmfs``: arguments of mount(8) as those of ``rwmfs mount``, and its exit codes."""

from __future__ import annotations

import configparser
import importlib
import json
import os
from pathlib import Path

import click
import pytest

from rwm.console import App
from rwm.errors import MountError, RwmError, UsageError
from rwm.location import Location
from rwmfs.cli import main as cli
from rwmfs.cli import mount_helper
from rwmfs.cli.mount_helper import Call, parse, parse_source, run
from tests import ROOT


def test_a_call_by_mount() -> None:
    assert parse(["bucket1@3455a41a", "/mnt/repo", "-o", "ro,_netdev,config=/etc/rwm/a b.conf"]) == Call(
        "bucket1@3455a41a",
        ("-oro", "-o_netdev", "-oconfig=/etc/rwm/a b.conf", "--at=3455a41a", "--", "bucket1", "/mnt/repo"),
    )


def test_switches_of_mount_helpers() -> None:
    call = parse(["b", "/m", "-s", "-f", "-n", "-v", "-o", "at=latest", "-t", "rwmfs.x"])
    assert (call.arguments, call.fake, call.verbose) == (("-oat=latest", "--", "b", "/m"), True, True)
    assert parse(["-fn", "b", "/m"]) == Call("b", ("--", "b", "/m"), fake=True)


def test_rw_is_dropped_because_mount_adds_it_by_default() -> None:
    assert parse(["b", "/m", "-o", "rw,at=latest,rw"]).arguments == ("-oat=latest", "--", "b", "/m")


def test_sloppy_ignores_unknown_options_but_not_wrong_ones() -> None:
    assert parse(["b", "/m", "-s", "-o", "size=1G,ro,bg"]).arguments == ("-oro", "--", "b", "/m")
    for wrong in ("uid=", "remount"):
        with pytest.raises(UsageError):
            parse(["b", "/m", "-s", "-o", wrong])


def test_a_relative_mountpoint_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(["b", "mnt"]).arguments[-1] == str(tmp_path / "mnt")


def test_a_source_is_a_location_with_an_optional_state() -> None:
    sources = {
        "bucket1": ("bucket1", ""),
        "bucket1@latest": ("bucket1", "latest"),
        "rwmfs:bucket1": ("bucket1", ""),
        "rwmfs:bucket1@2026-11-20T02:19:41Z": ("bucket1", "2026-11-20T02:19:41Z"),
        "-bucket": ("-bucket", ""),
        "bucket1/host1": ("bucket1/host1", ""),
        "rwmfs:bucket1/sites/a b@3455a41a": ("bucket1/sites/a b", "3455a41a"),
        "bucket1/me@laptop/": ("bucket1/me@laptop/", ""),
        "bucket1/me@laptop/data": ("bucket1/me@laptop/data", ""),
        "bucket1/me@laptop@latest": ("bucket1/me@laptop", "latest"),
        "bucket1/me@laptop/@latest": ("bucket1/me@laptop/", "latest"),
    }
    assert {source: parse_source(source) for source in sources} == sources


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a source and a mountpoint"),
        (["b"], "a source and a mountpoint"),
        (["b", "/m", "/n"], "a source and a mountpoint"),
        (["b", "/m", "-x"], "option -x not recognized"),
        (["b", "/m", "-N", "/proc/1/ns/mnt"], "-N is not supported"),
        (["b", "/m", "-o", "size=1G"], "size=1G is unknown"),
        (["b@latest", "/m", "-o", "at=latest"], "two states are given: b@latest and at=latest"),
        (["b", "/m", "-o", "config=rwm.conf"], "config=rwm.conf: the path must be absolute"),
        (["b", "/m", "-o", "log_file=~/log"], "log_file=~/log: the path must be absolute"),
        (
            ["/root/bucket1", "/m"],
            "/root/bucket1 is a path, not a bucket (mount(8) resolved the name of a file: write rwmfs:b",
        ),
        (["", "/m"], "has no bucket"),
        (["@latest", "/m"], "has no bucket"),
        (["b@", "/m"], "has no bucket"),
        (["b//x", "/m", "-f", "-o", "config=/dev/null"], "'b//x' is no location: empty name in its prefix"),
        (["b/../x", "/m", "-f", "-o", "config=/dev/null"], "name is . or .. in its prefix"),
    ],
)
def test_wrong_usage_is_exit_code_1(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mount.rwmfs: ")
    assert message in err
    assert err.count("\n") == 1


class Here:
    """A configuration and a mountpoint; the invalid ``rwm.conf`` in the working directory must not be read."""

    def __init__(self, directory: Path) -> None:
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.config = directory / "admin.conf"
        (directory / "rwm.conf").write_text("not: valid\n")
        values = {"s3_endpoint_url": "http://127.0.0.1:9", "s3_access_key": "a", "s3_secret_key": "b"}
        self.config.touch(mode=0o600)
        self.config.write_text(json.dumps({**values, "index_path": str(directory / "index.sqlite")}))

    def mount(self, options: str, *more: str) -> int:
        return run(["bucket1", str(self.mountpoint), "-o", options, *more])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "umask", lambda mode: 0)
    return Here(tmp_path)


def test_fake_checks_the_configuration_and_does_not_mount(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.mount(f"ro,at=latest,config={here.config}", "-f", "-v") == 0
    assert here.mount(f"ro,at=latest,config={here.config}.missing", "-f") == 1
    assert here.mount(f"config={here.config},uid=nobody-like-that", "-f") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "admin.conf.missing: No such file" in lines[0]
    assert "'nobody-like-that' is not a user" in lines[1]


def test_the_working_directory_is_not_searched(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.mount("at=latest", "-f") == 1
    assert "no configuration file was found" in capsys.readouterr().err
    assert Path.cwd() == Path("/")


def test_a_mount_failure_is_exit_code_32(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    (here.mountpoint / "file").touch()
    assert here.mount(f"at=latest,config={here.config}") == 32
    err = capsys.readouterr().err
    assert "is not empty (a mount would hide its files" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MountError("a\nb"), 32, "a\\nb"),
        (UsageError("odd", hint="even"), 1, "odd (even)"),
        (RwmError("x"), 32, "x"),
        (click.UsageError("which?"), 1, "which?"),
        (KeyboardInterrupt(), 8, "interrupted"),
        (ZeroDivisionError("z"), 2, "internal error, please report it: ZeroDivisionError: z"),
    ],
)
def test_every_error_has_an_exit_code_of_mount(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(call: Call, app: App) -> None:
        raise error

    monkeypatch.setattr(mount_helper, "mount", fail)
    assert run(["b", "/m"]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"mount.rwmfs: {message}")
    assert err.count("\n") == 1
    assert run(["b", "/m", "-v"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_command_in_a_hint_has_the_configuration(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.mount(f"config={here.config}") == 32
    assert f"`rwm -c {here.config} state sync bucket1` makes it" in capsys.readouterr().err


def test_the_arguments_are_those_of_rwmfs_mount() -> None:
    call = parse(["b@latest", "/m", "-o", "allow_other,uid=1,umask=077,connections=3"])
    given = cli.mount.make_context("mount", list(call.arguments)).params
    assert (given["location"], given["mountpoint"], given["at"]) == (Location("b"), Path("/m"), "latest")
    assert (given["allow_other"], given["uid"], given["umask"], given["connections"]) == (True, 1, 0o077, 3)


def test_every_console_script_is_callable() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    programs = dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].split("\n") if line)
    assert list(programs) == ["rwm", "rwmfs", "mount.rwmfs"]
    for target in programs.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


# --- units of systemd --------------------------------------------------------------------------------


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(ROOT / "examples" / name)
    return parser


def test_the_example_mount_unit_is_a_valid_call() -> None:
    mount = unit("mnt-repo.mount")["Mount"]
    assert mount["Type"] == "rwmfs"
    call = parse([mount["What"], mount["Where"], "-o", mount["Options"]])
    given = cli.mount.make_context("mount", list(call.arguments)).params
    assert (given["location"], given["mountpoint"], given["at"]) == (Location("bucket1"), Path("/mnt/repo"), "latest")


def test_example_units_are_named_after_their_mountpoints() -> None:
    for name, section in (("mnt-repo.mount", "Mount"), ("mnt-repo.automount", "Automount")):
        where = unit(name)[section]["Where"]
        assert name.partition(".")[0] == where.strip("/").replace("/", "-")
        assert unit(name)["Install"]["WantedBy"]


def test_the_fstab_line_in_the_docs_is_a_valid_call() -> None:
    text = (ROOT / "docs" / "mounting.md").read_text()
    lines = [line.split() for line in text.splitlines() if " rwmfs " in line and line.startswith("rwmfs:")]
    assert len(lines) == 1
    source, mountpoint, kind, options, *numbers = lines[0]
    assert (kind, numbers) == ("rwmfs", ["0", "0"])
    assert parse([source, mountpoint, "-o", options]).arguments[-2:] == ("bucket1", "/mnt/repo")
