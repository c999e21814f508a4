"""Access of other users to a mount, as the kernel permits it."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest

from rwmfs.mount.mountpoint import MOUNTINFO
from tests.mount.conftest import Serve

FILES = {"config": "configuration", "data/ab/abcd": "pack"}
OWNER, MEMBER, STRANGER, GROUP = 40_001, 40_002, 40_003, 40_010

ATTEMPTS: dict[str, Callable[[], object]] = {
    "read": lambda: Path("config").read_text(),
    "list": lambda: " ".join(sorted(path.name for path in Path().iterdir())),
    "deep": lambda: Path("data/ab/abcd").read_text(),
    "stat": lambda: Path("config").stat().st_size,
    "write": lambda: Path("config").open("w").close(),
    "create": lambda: Path("new").open("w").close(),
    "remove": lambda: Path("config").unlink(),
    "lock": lambda: Path("locks/mine").open("x").close(),
    "relock": lambda: Path("locks/mine").open("a").close(),
    "look": lambda: Path("locks/mine").read_text(),
    "chmod": lambda: Path("locks/mine").chmod(0o400),
    "unlock": lambda: Path("locks/mine").unlink(),
}
NO, READ_ONLY = "Permission denied", "Read-only file system"
READS = {"read": "configuration", "list": "config data locks", "deep": "pack", "stat": "13"}
LOCKS = dict.fromkeys(("lock", "relock", "look", "chmod", "unlock"), "done")
CHANGES = ("write", "create", "remove")


def tries(root: Path, uid: int, gid: int) -> dict[str, str]:
    """The results of all attempts by another user, whose working directory is ``root``.

    A forked process becomes that user, because a started program would have to be readable for everyone.
    """
    results = multiprocessing.get_context("fork").SimpleQueue()
    process = multiprocessing.get_context("fork").Process(target=_try, args=(root, uid, gid, results))
    process.start()
    process.join()
    assert process.exitcode == 0
    found: dict[str, str] = results.get()
    return found


def _try(root: Path, uid: int, gid: int, results: SimpleQueue[dict[str, str]]) -> None:
    os.chdir(root)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            found[name] = str(attempt() or "done")
        except OSError as error:
            found[name] = os.strerror(error.errno or 0)
    results.put(found)


def test_allow_other_gives_other_users_the_same_access(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--uid", str(OWNER), "--gid", str(GROUP))).path
    for path, mode in {"config": stat.S_IFREG | 0o444, "data": stat.S_IFDIR | 0o555, "": stat.S_IFDIR | 0o555}.items():
        found = (root / path).stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (mode, OWNER, GROUP)
    for uid in (OWNER, STRANGER):
        assert tries(root, uid, uid) == READS | LOCKS | dict.fromkeys(CHANGES, READ_ONLY)


def test_umask_077_excludes_all_but_the_owner(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--uid", str(OWNER), "--umask", "0o077")).path
    assert (root / "config").stat().st_mode == stat.S_IFREG | 0o400
    (root / "config").read_bytes()  # everything is known to the kernel by now
    list((root / "data/ab").iterdir())
    assert set(tries(root, STRANGER, STRANGER).values()) == {NO}
    assert tries(root, OWNER, OWNER) == READS | LOCKS | dict.fromkeys(CHANGES, NO)


def test_umask_027_admits_the_group(serve: Serve) -> None:
    arguments = ("--allow-other", "--uid", str(OWNER), "--gid", str(GROUP), "--umask", "0o027")
    root = serve(FILES, arguments=arguments).path
    assert (root / "locks").stat().st_mode == stat.S_IFDIR | 0o770
    assert set(tries(root, STRANGER, STRANGER).values()) == {NO}
    for uid in (OWNER, MEMBER):
        assert tries(root, uid, GROUP) == READS | LOCKS | dict.fromkeys(CHANGES, NO)


def test_a_lock_is_owned_by_its_creator(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--gid", str(GROUP), "--umask", "0o027")).path
    subprocess.run(["touch", "locks/theirs"], cwd=root, user=MEMBER, group=GROUP, extra_groups=[], check=True)
    theirs = (root / "locks" / "theirs").stat()
    assert (theirs.st_uid, theirs.st_gid) == (MEMBER, GROUP)


@pytest.mark.parametrize("umask", ["0", "0o077"])
def test_without_allow_other_other_users_are_excluded(serve: Serve, umask: str) -> None:
    root = serve(FILES, arguments=("--uid", str(OWNER), "--umask", umask)).path
    for uid in (OWNER, STRANGER):
        assert set(tries(root, uid, uid).values()) == {NO}
    assert (root / "config").read_text() == "configuration"


def test_root_gets_read_only_file_system(serve: Serve) -> None:
    root = serve(FILES, arguments=("--allow-other", "--umask", "0o077")).path
    with pytest.raises(OSError, match="Read-only file system"):
        os.unlink(root / "config")  # noqa: PTH108 - as little as possible in between


def test_mount_options_and_source(serve: Serve) -> None:
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
