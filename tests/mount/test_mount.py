"""A mounted state through the kernel: content, attributes, permitted and refused operations."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rwm.errors import MountError
from rwmfs.mount.mountpoint import MOUNTINFO, mounted_at, prepare_mountpoint, unmount
from tests.mount.conftest import REPOSITORY, SECONDS, Filesystem, Serve, wait_until

FILES = {
    "config": "configuration",
    "data/ab/abcd": "pack " * 100_000,
    "data/empty": "",
    "locks/left-behind": "never shown",
    "Привет мир/100%+ файл": "!",
}


def refused(code: int, call: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(OSError, match=re.escape(f"[Errno {code}]")):
        call(*arguments)


def test_what_is_there(serve: Serve) -> None:
    root = serve(FILES).path
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert found == {key: text for key, text in FILES.items() if not key.startswith("locks/")}
    assert sorted(path.name for path in root.iterdir()) == ["config", "data", "locks", "Привет мир"]
    assert list((root / "locks").iterdir()) == []
    config = (root / "config").stat()
    assert (config.st_mode, config.st_size, config.st_mtime) == (stat.S_IFREG | 0o444, 13, 1_700_000_000)
    assert (root / "data").stat().st_mode == stat.S_IFDIR | 0o555
    assert os.getxattr(root / "config", "user.rwm.etag") == b"etag-13"
    assert sorted(os.listxattr(root / "config")) == ["user.rwm.etag", "user.rwm.version_id"]
    refused(errno.ENODATA, os.getxattr, root / "config", "user.other")
    refused(errno.ENOTSUP, os.getxattr, root / "config", "system.posix_acl_access")
    refused(errno.ENOENT, (root / "nothing").read_bytes)
    assert os.statvfs(root).f_namemax == 255


def test_locks_exists_in_a_state_without_locks(serve: Serve) -> None:
    root = serve({}).path
    assert [path.name for path in root.iterdir()] == ["locks"]


def test_parallel_reads(serve: Serve, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    content = random.Random(5).randbytes(23_000_003)
    (source / "pack").write_bytes(content)
    pack = serve(directory=source).path / "pack"
    wrong: list[int] = []

    def reader(seed: int) -> None:
        place = random.Random(seed)
        with pack.open("rb", buffering=0) as file:
            for _ in range(60):
                offset, size = place.randrange(len(content) + 1000), place.choice([1, 4096, 200_000, 3_000_000])
                if os.pread(file.fileno(), size, offset) != content[offset : offset + size]:
                    wrong.append(offset)

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pack.read_bytes() == content


def test_everything_outside_locks_is_read_only(serve: Serve) -> None:
    root = serve(FILES).path
    config = root / "config"
    for change in (
        lambda: config.write_text("x"),
        lambda: config.open("r+b"),
        lambda: config.open("ab"),
        lambda: (root / "new").touch(),
        lambda: os.truncate(config, 0),
        config.unlink,
        lambda: config.rename(root / "other"),
        lambda: config.rename(root / "locks" / "other"),
        lambda: config.chmod(0o600),
        lambda: os.utime(config),
        lambda: os.chown(config, 1, 1),
        lambda: (root / "new").mkdir(),
        lambda: (root / "data").rmdir(),
        lambda: (root / "new").symlink_to("x"),
        lambda: (root / "new").hardlink_to(config),
        lambda: os.mkfifo(root / "new"),
        lambda: os.setxattr(config, "user.x", b"y"),
        lambda: os.removexattr(config, "user.rwm.etag"),
    ):
        refused(errno.EROFS, change)
    assert not os.access(config, os.W_OK)
    assert config.read_text() == "configuration"


def test_operations_of_restic_in_locks(serve: Serve) -> None:
    locks = serve(FILES).path / "locks"
    final = locks / "abc"
    temporary = locks / "abc-tmp-1"
    with temporary.open("xb") as file:
        file.write(b"lock")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(final)
    final.chmod(0o400)
    os.utime(final, (1, 2))
    assert stat.S_IMODE(final.stat().st_mode) == 0o400
    assert final.stat().st_mtime == 2
    assert [path.name for path in locks.iterdir()] == ["abc"]
    directory = os.open(locks, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    # Refreshed after five minutes: a new lock, and then the old one goes, made writable before.
    (locks / "def-tmp-2").write_bytes(b"refreshed")
    (locks / "def-tmp-2").rename(locks / "def")
    final.chmod(0o666)
    with final.open("rb") as held:
        final.unlink()
        assert held.read() == b"lock", "a file lives as long as it is open"
    assert [path.name for path in locks.iterdir()] == ["def"]
    assert (locks / "def").read_bytes() == b"refreshed"
    (locks / "def").write_bytes(b"x")
    assert (locks / "def").read_bytes() == b"x"
    refused(errno.EPERM, (locks / "directory").mkdir)


def test_a_full_locks_directory_is_enospc(serve: Serve) -> None:
    full = serve(FILES).path / "locks" / "big"
    refused(errno.ENOSPC, full.write_bytes, bytes(17 << 20))
    full.unlink()
    full.write_bytes(bytes(15 << 20))


def test_a_large_directory(serve: Serve, tmp_path: Path) -> None:
    names = {f"{number:05}" for number in range(5000)}
    root = serve({f"data/{name}": "x" for name in names}).path
    with os.scandir(root / "data") as entries:
        assert sorted(entry.name for entry in entries) == sorted(names)
    inodes = {entry.name: entry.inode() for entry in os.scandir(root / "data")}
    assert len(set(inodes.values())) == len(names)
    assert (root / "data" / "04999").stat().st_ino == inodes["04999"]


def test_the_oldest_dentries_are_invalidated(serve: Serve) -> None:
    files = {f"data/{number % 3}/{number:05}": "x" for number in range(12000)}
    filesystem = serve(files, arguments=("--dentry-limit", "4000"))
    with (filesystem.path / "data/0/00000").open() as kept:
        for _ in range(2):
            shown = {str(path.relative_to(filesystem.path)) for path in filesystem.path.rglob("*") if path.is_file()}
            assert shown == files.keys()
        assert kept.read() == "x"
        assert os.fstat(kept.fileno()).st_ino == (filesystem.path / "data/0/00000").stat().st_ino

    def hold_lock() -> int:
        filesystem.process.send_signal(signal.SIGUSR1)
        numbers = re.findall(r"so far: .* (\d+) names held", filesystem.logged())
        return int(numbers[-1]) if numbers else 10_000

    wait_until(lambda: hold_lock() < 7000, "few names are held")


def test_listings_of_many_names_leave_few_dentries(serve: Serve) -> None:
    """Each directory has more names than one readdir reply, and than one invalidation."""
    files = {f"data/{number % 4}/{number:05}": "" for number in range(24_000)}
    filesystem = serve(files, arguments=("--dentry-limit", "1000"))
    listed = subprocess.run(["ls", "-lR", filesystem.path], capture_output=True, text=True, check=True)
    assert sum(line.startswith("-") for line in listed.stdout.splitlines()) == len(files)
    assert listed.stderr == ""

    def hold_lock() -> int:
        filesystem.process.send_signal(signal.SIGUSR1)
        numbers = re.findall(r"so far: .* (\d+) names held", filesystem.logged())
        return int(numbers[-1]) if numbers else 100_000

    assert not [*(filesystem.path / "locks").iterdir()]  # whatever is opened
    wait_until(lambda: hold_lock() < 8000, "no more than one directory has")


def test_attributes_of_a_listing_stay_valid_during_invalidation(serve: Serve, tmp_path: Path) -> None:
    files = {f"data/{number % 6}/{number:05}": "" for number in range(24_000)}
    asked = tmp_path / "asked"
    filesystem = serve(files, arguments=("--dentry-limit", "5000", "--count", str(asked)))
    listed = subprocess.run(["ls", "-lR", filesystem.path], capture_output=True, text=True, check=True)
    assert sum(line.startswith("-") for line in listed.stdout.splitlines()) == len(files)
    assert asked.stat().st_size < 100


def test_s3_errors_are_eio_and_logged(serve: Serve) -> None:
    filesystem = serve({"config": "ok", "bad\nkey": "x"}, arguments=("--fail", "bad\nkey"))
    refused(errno.EIO, (filesystem.path / "bad\nkey").read_bytes)
    assert (filesystem.path / "config").read_text() == "ok"
    lines = [line for line in filesystem.logged().splitlines() if "ERROR" in line]
    assert lines
    assert all("cannot read bad\\nkey" in line and line.endswith("no such luck") for line in lines)


def test_a_hung_server_does_not_delay_the_end(serve: Serve) -> None:
    filesystem = serve({"config": "ok", "slow": "x"}, arguments=("--hang", "slow"))
    readers = [subprocess.Popen(["cat", filesystem.path / "slow"], stderr=subprocess.DEVNULL) for _ in range(3)]
    assert (filesystem.path / "config").read_text() == "ok"
    filesystem.end()
    for reader in readers:
        assert reader.wait(SECONDS) != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_mount_with_open_files(serve: Serve, number: int) -> None:
    filesystem = serve(FILES)
    held = os.open(filesystem.path / "config", os.O_RDONLY)
    filesystem.end(number)
    refused(errno.ENOTCONN, os.close, held)


def test_umount_ends_the_process(serve: Serve) -> None:
    filesystem = serve(FILES)
    unmount(filesystem.path)
    assert filesystem.process.wait(SECONDS) == 0


def test_umount_of_a_mount_in_use(serve: Serve) -> None:
    filesystem = serve(FILES)
    with (filesystem.path / "config").open("rb"), pytest.raises(MountError, match="in use"):
        unmount(filesystem.path)
    assert (filesystem.path / "config").exists()
    unmount(filesystem.path)
    with pytest.raises(MountError, match="nothing is mounted at"):
        unmount(filesystem.path)


def test_a_dead_mount_is_replaced(serve: Serve) -> None:
    first = serve(FILES)
    first.kill()
    refused(errno.ENOTCONN, os.statvfs, first.path)
    assert (serve(FILES).path / "config").read_text() == "configuration"


def test_umount_of_a_dead_mount(serve: Serve) -> None:
    filesystem = serve(FILES)
    filesystem.kill()
    unmount(filesystem.path)
    assert mounted_at(filesystem.path) is None


def test_invalid_mountpoints(serve: Serve, tmp_path: Path) -> None:
    filesystem = serve(FILES)
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for place, message in {
        filesystem.path: "is already mounted at",
        filesystem.path / "data": "not empty",
        tmp_path / "missing": "does not exist",
        tmp_path / "file": "not a directory",
        tmp_path / "full": "not empty",
    }.items():
        with pytest.raises(MountError, match=message):
            prepare_mountpoint(place)


def command_for(place: Path, *arguments: str) -> list[str | Path]:
    files = place.parent / "files"
    files.write_text(json.dumps({"config": "ok"}))
    program = [sys.executable, "-m", "tests.mount.serve"]
    return [*program, place, place.parent / "log", "--files", files, *arguments]


def in_background(place: Path, *arguments: str, descriptors: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Both outputs are pipes, so this returns when no process holds them open."""
    command = command_for(place, *arguments)
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, pass_fds=descriptors
    )


def test_background_mount(tmp_path: Path) -> None:
    place = tmp_path / "mnt with space"
    place.mkdir()
    done = in_background(place)
    assert (done.returncode, done.stderr) == (0, "")
    process = Path(f"/proc/{int(done.stdout)}")
    assert (place / "config").read_text() == "ok", "usable at once"
    assert (process / "cwd").readlink() == Path("/")
    assert os.getsid(int(done.stdout)) == int(done.stdout)
    assert {(process / "fd" / str(number)).readlink() for number in range(3)} == {Path(os.devnull)}
    unmount(place)
    wait_until(lambda: not process.exists() or "zombie" in (process / "status").read_text(), "its end")
    log = (tmp_path / "log").read_text()
    assert "mounted rwmfs:bucket1@1234567890ab" in log
    assert "unmounted" in log
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_errors_of_a_background_start_are_reported_by_the_parent(tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    place.mkdir()
    done = in_background(place, "--fail", "config")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "serve: no such luck\n"
    done = in_background(place, "--crash")
    assert done.returncode == 1
    assert done.stderr == "serve: the mount process ended before the mount was ready (signal 9)\n"
    done = in_background(place, "--vanish")
    assert done.returncode == 1
    assert f"serve: cannot mount at {place}" in done.stderr
    assert "Traceback" not in done.stderr
    assert mounted_at(place) is None


def test_an_interrupted_start_leaves_no_mount(tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    place.mkdir()
    command = command_for(place, "--wait")
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, process_group=0)
    wait_until((tmp_path / "log").exists, "the child's start")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: the child gets it too
    process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert (tmp_path / "log").read_text() == ""
    assert not Path(f"/proc/{children[0]}").exists()


def has_answered(filesystem: Filesystem, times: int) -> bool:
    return filesystem.logged().count("so far: served ") == times


def test_sigusr1_logs_the_counters(serve: Serve) -> None:
    filesystem = serve(FILES, arguments=("--ask",))
    assert "served" not in filesystem.logged(), "asked before it was ready, it stayed alive and silent"
    for answers in (1, 2):
        filesystem.process.send_signal(signal.SIGUSR1)
        wait_until(partial(has_answered, filesystem, answers), "its answer")
    assert (filesystem.path / "config").read_text() == "configuration"
    filesystem.end()
    assert re.search(
        r"unmounted .*: served [\d.]+ MiB, fetched .* 0 failed, 1 names held$", filesystem.logged(), re.MULTILINE
    )


def test_umount_8_ends_the_process(serve: Serve) -> None:
    filesystem = serve(FILES)
    subprocess.run(["umount", filesystem.path], check=True)
    assert filesystem.process.wait(SECONDS) == 0


def test_allow_other_is_a_mount_option(serve: Serve) -> None:
    def options(path: Path) -> str:
        line = next(line for line in MOUNTINFO.read_text().splitlines() if str(path) in line)
        return line.partition(" - ")[2]

    mine = serve(FILES)
    assert "allow_other" not in options(mine.path)
    mine.end()
    assert "allow_other" in options(serve(FILES, arguments=("--allow-other",)).path)


def test_inherited_descriptors_are_closed(tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    place.mkdir()
    inlet, outlet = os.pipe()
    assert in_background(place, descriptors=(outlet,)).returncode == 0
    os.close(outlet)
    assert os.read(inlet, 1) == b"", "the mount does not hold the other end open"
    os.close(inlet)
    unmount(place)
