"""``mount -t rwmfs``, fstab and ``umount``, by mount(8) itself.

mount(8) looks for ``mount.rwmfs`` in /sbin. Each test has its own mount namespace, in which /sbin holds nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rwmfs.mount.mountpoint import mounted_at
from tests.mount.conftest import REPOSITORY, wait_until
from tests.mount.test_command import FILES, Place
from tests.servers import Server

PROGRAM = f"""#!/bin/sh
PYTHONPATH='{REPOSITORY}' exec '{sys.executable}' -c 'from rwmfs.cli.mount_helper import main; main()' "$@"
"""
ENTER = """
set -u
mount --bind "$SBIN" /sbin || exit 99
trap 'umount -l "$MNT" 2>/dev/null' EXIT
"""
SHOW = """
findmnt -n -o SOURCE,FSTYPE "$MNT"
cat "$MNT/config" && echo
"""

AUTOMOUNT = """
import ctypes, fcntl, os, struct, subprocess, sys
place, *mount = sys.argv[1:]
inlet, outlet = os.pipe()
options = f"fd={outlet},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"test", place.encode(), b"autofs", 0, options.encode()) == 0, os.strerror(ctypes.get_errno())
root = os.open(place, os.O_RDONLY)
reader = subprocess.Popen(["cat", f"{place}/config"], stdout=subprocess.PIPE, start_new_session=True)
token = struct.unpack_from("=iiI", os.read(inlet, 4096))[2]
try:
    subprocess.run(["timeout", "--foreground", "-k", "1", "30", *mount], check=True)
    fcntl.ioctl(root, 0x9360, token)  # AUTOFS_IOC_READY
    print(reader.communicate(timeout=120)[0].decode())
finally:
    os.close(inlet)  # nobody waits for us any more
    subprocess.run(["umount", place])
"""


class Machine:
    """A bucket with a state, and a shell in whose /sbin there is ``mount.rwmfs``."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.directory = directory / "a b"
        self.directory.mkdir()
        self.place = Place(server, directory)
        self.place.put({"config": FILES["config"], "data/ab/abcd": b"pack"})
        self.state = self.place.capture()
        self.config = (directory / "rwm.conf").rename(self.directory / "admin.conf")
        self.log = self.directory / "log"
        self.sbin = directory / "sbin"
        self.sbin.mkdir()
        (self.sbin / "mount.rwmfs").write_text(PROGRAM)
        (self.sbin / "mount.rwmfs").chmod(0o755)
        self.mountpoint = self.place.mountpoint

    def __call__(self, script: str) -> subprocess.CompletedProcess[str]:
        """Output and exit code of a shell script, which may use $BUCKET, $MNT, $OPTIONS, $DIR and $STATE."""
        options = f"ro,config={self.config},log_file={self.log}"
        names = {
            "SBIN": self.sbin,
            "BUCKET": self.place.bucket,
            "MNT": self.mountpoint,
            "OPTIONS": options,
            "ESCAPED": options.replace(" ", "\\040"),
            "DIR": self.directory,
            "PYTHON": sys.executable,
            "AUTOMOUNT": AUTOMOUNT,
            "STATE": self.state,
        }
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER + script],
            cwd=self.directory,
            env=os.environ | {name: str(value) for name, value in names.items()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert mounted_at(self.mountpoint) is None, "it did not reach the outside"
        return done


@pytest.fixture
def machine(moto: Server, tmp_path: Path) -> Machine:
    return Machine(moto, tmp_path)


def test_mount_and_umount(machine: Machine) -> None:
    done = machine(f'mount -t rwmfs -o "$OPTIONS" "$BUCKET@$STATE" "$MNT" || exit\n{SHOW}\numount "$MNT" && ls "$MNT"')
    assert (done.returncode, done.stderr) == (0, "")
    source = f"{machine.place.bucket}@{machine.state}"
    assert done.stdout.split() == [source, "fuse.rwmfs", FILES["config"].decode()]
    wait_until(lambda: "unmounted" in machine.log.read_text(), "the log's last word")
    assert "ERROR" not in machine.log.read_text()


def test_fstab_line_and_mount_all_twice(machine: Machine) -> None:
    done = machine(
        'printf "%s %s rwmfs %s,at=latest,_netdev,nofail,allow_other 0 0\\n" "$BUCKET" "$MNT" "$ESCAPED" > fstab\n'
        f'mount -T fstab -a || exit\n{SHOW}\nmount -T fstab -a && grep -c " $MNT " /proc/self/mountinfo\numount "$MNT"'
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [machine.place.bucket, "fuse.rwmfs", FILES["config"].decode(), "1"]


def test_a_prefix(machine: Machine) -> None:
    done = machine(
        'printf "%s %s rwmfs %s 0 0\\n" "rwmfs:$BUCKET/data@$STATE" "$MNT" "$ESCAPED" > fstab\n'
        'mount -T fstab -a || exit\nfindmnt -n -o SOURCE,FSTYPE "$MNT"\ncat "$MNT/ab/abcd"; umount "$MNT"'
    )
    assert (done.returncode, done.stderr) == (0, "")
    source = f"rwmfs:{machine.place.bucket}/data@{machine.state}"
    assert done.stdout.split() == [source, "fuse.rwmfs", "pack"]


def test_a_file_named_like_the_bucket(machine: Machine) -> None:
    done = machine('touch "$BUCKET"; mount -t rwmfs -o "$OPTIONS,at=latest" "$BUCKET" "$MNT"')
    assert done.returncode == 1
    assert f"write rwmfs:{machine.place.bucket}" in done.stderr
    done = machine(f'mount -t rwmfs -o "$OPTIONS,at=latest" "rwmfs:$BUCKET" "$MNT" || exit\n{SHOW}\numount "$MNT"')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [f"rwmfs:{machine.place.bucket}", "fuse.rwmfs", FILES["config"].decode()]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ('mount -t rwmfs -o "$OPTIONS,at=latest,size=1" "$BUCKET" "$MNT"', 1, "size=1 is unknown"),
        ('mount -t rwmfs -o "$OPTIONS,at=0123456789" "$BUCKET" "$MNT"', 32, "no recorded state"),
        ('mount -t rwmfs -o "$OPTIONS,at=latest" "$BUCKET" "$MNT/missing"', 32, "does not exist"),
        ('mount -t rwmfs -o "config=$DIR/none,at=latest" "$BUCKET" "$MNT"', 1, "none: No such file"),
    ],
)
def test_mount_t_errors(machine: Machine, command: str, code: int, message: str) -> None:
    done = machine(command)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_mount_8(machine: Machine) -> None:
    mount = '-t rwmfs -o "$OPTIONS,at=latest,size=1" "$BUCKET" "$MNT"'
    done = machine(f'mount -f -s {mount} || exit; ls "$MNT"; mount -s -n -v {mount} || exit; {SHOW} umount "$MNT"')
    assert done.returncode == 0, done.stderr
    assert f"{machine.place.bucket} as of " in done.stdout
    assert FILES["config"].decode() in done.stdout


def test_automount_of_systemd(machine: Machine) -> None:
    """Access to the mountpoint waits for the mount, except from the process group of the automounter."""
    done = machine('"$PYTHON" -c "$AUTOMOUNT" "$MNT" mount -t rwmfs -o "$OPTIONS,at=latest" "rwmfs:$BUCKET" "$MNT"')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == FILES["config"].decode()
