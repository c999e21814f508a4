"""Who gets into a mount: other users, as the kernel lets them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rwmfs.mount.mountpoint import MOUNTINFO
from tests.mount.conftest import Serve

FILES = {"config": "configuration", "data/ab/abcd": "pack"}
OWNER, MEMBER, STRANGER, GROUP = 40_001, 40_002, 40_003, 40_010

TRY = """
import os
def attempt(what, call):
    try:
        print(what, call() or "done")
    except OSError as error:
        print(what, os.strerror(error.errno))
attempt("read", lambda: open("config").read())
attempt("list", lambda: " ".join(sorted(os.listdir("."))))
attempt("deep", lambda: open("data/ab/abcd").read())
attempt("stat", lambda: str(os.stat("config").st_size))
attempt("write", lambda: open("config", "w").close())
attempt("create", lambda: open("new", "w").close())
attempt("remove", lambda: os.unlink("config"))
attempt("lock", lambda: open("locks/mine", "x").close())
attempt("relock", lambda: open("locks/mine", "a").close())
attempt("look", lambda: open("locks/mine").read())
attempt("chmod", lambda: os.chmod("locks/mine", 0o400))
attempt("unlock", lambda: os.unlink("locks/mine"))
"""
NO, READ_ONLY = "Permission denied", "Read-only file system"
READS = {"read": "configuration", "list": "config data locks", "deep": "pack", "stat": "13"}
LOCKS = dict.fromkeys(("lock", "relock", "look", "chmod", "unlock"), "done")
CHANGES = ("write", "create", "remove")


def tries(root: Path, uid: int, gid: int) -> dict[str, str]:
    """What comes of it when another user, whom nobody else's directories keep away, does all that can be done."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", TRY],
        cwd=root,  # entered as we are, before the user changes
        user=uid,
        group=gid,
        extra_groups=[],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_others_may_do_as_much_as_we_when_they_are_let_in(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--uid", str(OWNER), "--gid", str(GROUP))).path
    for path, mode in {"config": stat.S_IFREG | 0o444, "data": stat.S_IFDIR | 0o555, "": stat.S_IFDIR | 0o555}.items():
        found = (root / path).stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (mode, OWNER, GROUP)
    for uid in (OWNER, STRANGER):
        assert tries(root, uid, uid) == READS | LOCKS | dict.fromkeys(CHANGES, READ_ONLY)


def test_a_umask_keeps_all_but_the_owner_out(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--uid", str(OWNER), "--umask", "0o077")).path
    assert (root / "config").stat().st_mode == stat.S_IFREG | 0o400
    (root / "config").read_bytes()  # everything is known to the kernel by now
    list((root / "data/ab").iterdir())
    assert set(tries(root, STRANGER, STRANGER).values()) == {NO}
    assert tries(root, OWNER, OWNER) == READS | LOCKS | dict.fromkeys(CHANGES, NO)


def test_a_umask_that_lets_a_group_in(serve: Serve) -> None:
    arguments = ("--allow-other", "--uid", str(OWNER), "--gid", str(GROUP), "--umask", "0o027")
    root = serve(FILES, arguments=arguments).path
    assert (root / "locks").stat().st_mode == stat.S_IFDIR | 0o770
    assert set(tries(root, STRANGER, STRANGER).values()) == {NO}
    for uid in (OWNER, MEMBER):
        assert tries(root, uid, GROUP) == READS | LOCKS | dict.fromkeys(CHANGES, NO)


def test_a_lock_is_its_makers(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--gid", str(GROUP), "--umask", "0o027")).path
    subprocess.run(["touch", "locks/theirs"], cwd=root, user=MEMBER, group=GROUP, extra_groups=[], check=True)
    theirs = (root / "locks" / "theirs").stat()
    assert (theirs.st_uid, theirs.st_gid) == (MEMBER, GROUP)


@pytest.mark.parametrize("umask", ["0", "0o077"])
def test_nobody_else_gets_in_who_is_not_let_in(serve: Serve, umask: str) -> None:
    root = serve(FILES, arguments=("--uid", str(OWNER), "--umask", umask)).path
    for uid in (OWNER, STRANGER):
        assert set(tries(root, uid, uid).values()) == {NO}
    assert (root / "config").read_text() == "configuration"


def test_root_is_told_that_it_is_read_only(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--umask", "0o077")).path
    with pytest.raises(OSError, match="Read-only file system"):
        os.unlink(root / "config")  # noqa: PTH108 - as little as possible in between


def test_what_the_kernel_is_told(serve: Serve) -> None:
    def line(path: Path) -> str:
        return next(line for line in MOUNTINFO.read_text().splitlines() if str(path) in line)

    first = serve(FILES)
    assert "default_permissions" not in line(first.path)
    assert " rwmfs:bucket1@1234567890ab " in line(first.path)
    for flag in ("nosuid", "nodev", "noexec", "noatime"):
        assert flag in line(first.path)
    first.end()
    second = serve(FILES, arguments=("--umask", "0o007", "--label", "rwmfs:b,x@latest y"))
    assert "default_permissions" in line(second.path)
    assert " rwmfs:b_x@latest_y " in line(second.path)
