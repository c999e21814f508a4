"""Examples that are more than a configuration: dumps of databases, restic without RWM, accounts of servers."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from rwm import process
from rwm.config import Credentials, S3Settings
from rwm.embedded.ports import all_ports, choose_port
from rwm.errors import AccessDenied, RwmError
from rwm.s3 import S3, connect
from rwm.storage import check_storage, create_storage
from tests import ROOT, restics
from tests.contract.buckets import unique
from tests.e2e.cli import BIN, Shell
from tests.servers import Server

EXAMPLES = ROOT / "examples"
DUMP = """#!/bin/sh
for word; do case $word in --file=*|--result-file=*) out=${word#*=};; esac; done
printf 'dump of %s\\n' "${0##*/}" > "${out:-/dev/stdout}"
"""
LOAD = "#!/bin/sh\nexec cat\n"
PROGRAMS = {
    "pg_dumpall": DUMP,
    "mariadb-dump": DUMP,
    "psql": LOAD,
    "mariadb": LOAD,
    "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n',  # as this user
    "install": '#!/bin/sh\nfor word; do :; done\nexec mkdir -p "$word"\n',  # no user postgres here
}


@pytest.fixture
def shell(seaweedfs: Server, tmp_path: Path) -> Shell:
    """A machine on which the programs of databases are scripts."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    for name, script in PROGRAMS.items():
        (fakes / name).write_text(script)
        (fakes / name).chmod(0o755)
    shell = Shell(tmp_path)
    shell.environment["PATH"] = f"{fakes}:{shell.environment['PATH']}"
    return shell


def prepare(shell: Shell, server: Server, backups: object) -> str:
    """A protected bucket, and rwm.conf with the repository in it."""
    bucket = unique("examples")
    shell.configure("admin.conf", server.endpoint, server.accounts["admin"])
    settings = {"restic_bucket": bucket, "restic_password": "change-me", "backups": backups}
    shell.configure("rwm.conf", server.endpoint, server.accounts["user1"], settings)
    shell("rwm", "-c", "admin.conf", "storage", "create", bucket, "user1")
    return bucket


def loading_commands(directory: Path) -> str:
    """The commands of docs/operations.md that load the dumps."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Databases\n")[2]
    commands = section.partition("```sh\n")[2].partition("```")[0]
    on_bucket = commands.replace("restic -r /mnt/repo --no-cache", "rwm restic")
    return "set -e\n" + on_bucket.replace("/var/backups/rwm", f"{directory}/dumps")


@pytest.mark.slow
def test_dumps_of_databases_are_backed_up_and_removed(shell: Shell, seaweedfs: Server) -> None:
    text = (EXAMPLES / "rwm-databases.conf").read_text().replace("/var/backups/rwm", f"{shell.directory}/dumps")
    prepare(shell, seaweedfs, yaml.safe_load(text)["backups"])
    shell("rwm", "restic", "init")
    shell("rwm", "backup", "--all")
    assert list((shell.directory / "dumps").iterdir()) == []
    assert shell("bash", "-c", loading_commands(shell.directory)).stdout == "dump of pg_dumpall\ndump of mariadb-dump\n"
    (shell.directory / "bin" / "pg_dumpall").write_text("#!/bin/sh\nexit 1\n")
    assert "postgresql" in shell("rwm", "backup", "--all", code=3).stdout, "a dump that failed is reported"


@pytest.mark.slow
def test_restic_itself_runs_the_dump(shell: Shell, seaweedfs: Server) -> None:
    (shell.directory / "bin" / "restic").symlink_to(Path(restics.program("restic-current")).resolve())
    entry = (EXAMPLES / "rwm-databases.conf").read_text().partition("#   postgresql:\n")[2].partition("\n\n")[0]
    backups = yaml.safe_load("postgresql:\n" + entry.replace("#     ", "  ").replace("#          ", "    "))
    prepare(shell, seaweedfs, backups)
    shell("rwm", "restic", "init")
    shell("rwm", "backup", "--all")
    assert shell("rwm", "restic", "dump", "latest", "/postgresql.sql").stdout == "dump of pg_dumpall\n"


@pytest.mark.slow
def test_plain_restic_with_the_environment_file(shell: Shell, seaweedfs: Server) -> None:
    bucket = prepare(shell, seaweedfs, {})
    account, text = seaweedfs.accounts["user1"], (EXAMPLES / "restic.env").read_text()
    for old, new in (
        ("http://127.0.0.1:8333/bucket1", f"{seaweedfs.endpoint}/{bucket}"),
        ("/etc/restic-password", f"{shell.directory}/password"),
        ("user1-access-key", account.access_key),
        ("user1-secret-key", account.secret_key),
    ):
        assert old in text
        text = text.replace(old, new)
    (shell.directory / "restic.env").write_text(text)
    (shell.directory / "password").write_text("change-me\n")
    shell("sh", "-c", f"set -a; . ./restic.env; set +a; restic init && restic backup {EXAMPLES}")
    found = shell.json("rwm", "-c", "admin.conf", "state", "capture", bucket)
    assert found["objects"] > 4
    assert shell.json("rwm", "-c", "admin.conf", "audit", bucket)["last_clean"] == found["id"]


@contextmanager
def documented_weed(directory: Path) -> Iterator[str]:
    """The server of the document with the accounts of the example, on ports that are free; its endpoint."""
    text = (ROOT / "docs" / "operations.md").read_text().replace("\\\n", " ")
    words = shlex.split(re.findall(r"^weed server .*", text, re.MULTILINE)[0])
    port, master, volume, filer = all_ports(choose_port(directory))[:4]
    given = {
        "-dir": directory,
        "-s3.port": port,
        "-s3.config": EXAMPLES / "seaweedfs-s3.json",
        "-master.port": master,
        "-volume.port": volume,
        "-filer.port": filer,
    }
    kept = [word for word in words[1:] if word.partition("=")[0] not in given]
    command = [str(BIN / "weed"), *kept, *(f"{name}={value}" for name, value in given.items())]
    with process.spawn(command, env={**os.environ, "HOME": str(directory)}, log_path=directory / "weed.log") as daemon:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            daemon.stop()


def until_ready(s3: S3) -> None:
    """Wait until the server stores an object."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if not s3.bucket_exists("probe"):
                s3.create_bucket("probe")
            s3.put("probe", "key", b"")
            return
        except RwmError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


@pytest.mark.slow
def test_accounts_of_seaweedfs(tmp_path: Path) -> None:
    """Of the server as the document starts it, which has no STS."""
    with documented_weed(tmp_path) as endpoint:
        admin, user = (
            connect(
                S3Settings(endpoint, Credentials(f"{name}-access-key", f"{name}-secret-key"), "us-east-1"), attempts=1
            )
            for name in ("admin", "user1")
        )
        until_ready(admin)
        create_storage(admin, "bucket1", "user1")
        assert check_storage(admin, "bucket1") == []
        version = user.put("bucket1", "key", b"")
        assert user.delete_versions("bucket1", [("key", version)]) != []
        with pytest.raises(AccessDenied):
            user.put("probe", "key", b"")


@pytest.mark.slow
def test_accounts_of_ceph(rgw: Server) -> None:
    """The commands of the document, with other names: the gateway is shared."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("### Ceph RGW\n")[2].partition("### SeaweedFS\n")[0]
    commands = [shlex.split(line) for line in re.findall(r"^radosgw-admin .*", text, re.MULTILINE)]
    assert len(commands) == 9

    def run(words: list[str]) -> str:
        words = [word.replace("=admin", "=doc-admin").replace("=user1", "=doc-user1") for word in words]
        done = process.run([words[0], "-c", str(rgw.ceph_conf), *words[1:]])
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    keys: dict[str, Credentials] = {}
    for words in commands[:-1]:
        out = run(words)
        if words[1:3] == ["user", "create"]:
            found = json.loads(out)["keys"][0]
            keys[words[3].removeprefix("--uid=")] = Credentials(found["access_key"], found["secret_key"])
    admin, user = (connect(S3Settings(rgw.endpoint, keys[uid], rgw.region)) for uid in ("admin", "user1"))
    bucket = unique("accounts")
    create_storage(admin, bucket, "doc-user1")
    user.put(bucket, "key", b"")
    with pytest.raises(RwmError):
        user.create_bucket(unique("own"))
    run([word.replace("OLD-ACCESS-KEY", keys["user1"].access_key) for word in commands[-1]])
    with pytest.raises(AccessDenied):
        user.put(bucket, "key", b"")
