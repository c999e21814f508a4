"""What is recorded: each scenario is one bucket."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from bench.proxy import Reset, Status
from rwm import process
from tests.histories.recorder import TIMEOUT, Recorder

REFRESH = 330.0
"""Seconds that a backup lasts for a lock refresh: restic refreshes after five minutes."""


def life(r: Recorder) -> None:
    """Every operation of restic once, by one host, nothing interrupted. A repository of format 1 that is migrated."""
    data = str(r.data)
    newer = r.version >= (0, 16)
    r.run("init", "init", "--repository-version", "1")
    r.change(6)
    r.run("backup", "backup", data)
    r.run("backup unchanged", "backup", data)
    r.change(3)
    r.run("backup", "backup", data)
    r.run("backup --time", "backup", "--time", "2031-01-01 00:00:00", "--tag", "future", data)
    for name, *arguments in [
        ("snapshots", "snapshots"),
        ("check", "check"),
        ("check --read-data", "check", "--read-data"),
        ("stats", "stats"),
        ("find", "find", "file1"),
        ("ls", "ls", "latest"),
        ("key list", "key", "list"),
        ("list packs", "list", "packs"),
        ("list locks", "list", "locks"),
        ("cat config", "cat", "config"),
        ("dump", "dump", "latest", f"{data}/file1"),
        ("restore", "restore", "latest", "--target", str(r.directory / "restored")),
        ("forget --dry-run", "forget", "--keep-last", "1", "--dry-run"),
        ("prune --dry-run", "prune", "--dry-run"),
        ("backup --dry-run", "backup", "--dry-run", data),
        ("snapshots --no-lock", "snapshots", "--no-lock"),
        ("unlock", "unlock"),
        ("init again", "init"),
    ]:
        r.run(name, *arguments)
    ids = [key.rpartition("/")[2] for key in r.current("snapshots/")]
    r.run("diff", "diff", ids[0], ids[1])
    mount(r)
    r.run("tag", "tag", "--add", "kept", "latest")
    if newer:
        r.run("rewrite", "rewrite", "--exclude", "file5", "latest")
        r.run("rewrite --forget", "rewrite", "--forget", "--exclude", "file4", "latest")
        r.run("repair snapshots", "repair", "snapshots", "--forget")
    r.run("rebuild-index", *(("repair", "index") if newer else ("rebuild-index",)))
    r.run("rebuild-index --read-all-packs", *(("repair", "index") if newer else ("rebuild-index",)), "--read-all-packs")
    r.run("key add", "key", "add", "--new-password-file", str(r.directory / "new-password"))
    newest = r.current("keys/")[-1].rpartition("/")[2]
    r.run("key remove", "key", "remove", newest)
    r.run("key passwd", "key", "passwd", "--new-password-file", str(r.directory / "password"))
    r.run("forget nothing", "forget", "--keep-last", "100")
    r.run("forget", "forget", "--keep-last", "2", "--group-by", "")
    r.run("prune", "prune", "--max-unused", "0")
    r.run("prune nothing", "prune", "--max-unused", "0")
    r.change(2)
    r.run("backup", "backup", data)
    r.change(1)
    r.run("backup", "backup", data)
    r.run("forget --prune", "forget", "--group-by", "", "--keep-last", "1", "--prune", "--max-unused", "0")
    r.run("migrate", "migrate", "upgrade_repo_v2")
    r.run("prune --repack-uncompressed", "prune", "--repack-uncompressed")
    copy(r)
    r.run("forget", "forget", r.current("snapshots/")[0].rpartition("/")[2])
    r.run("recover", "recover")
    if newer:
        r.run("repair packs", "repair", "packs", r.current("data/")[0].rpartition("/")[2])
        r.run("repair snapshots", "repair", "snapshots", "--forget")
    r.run("forget all", "forget", *(key.rpartition("/")[2] for key in r.current("snapshots/")))
    r.run("prune all", "prune")
    r.run("backup", "backup", data)
    lost = r.current("data/")[0]
    r.s3.delete(r.bucket, lost)
    r.note("a pack is lost (not restic)", [], None)
    r.run("rebuild-index after a loss", *(("repair", "index") if newer else ("rebuild-index",)))


def mount(r: Recorder) -> None:
    """Mount the repository, look at it, unmount it."""
    point = r.directory / "mount"
    point.mkdir()
    child = r.start("mount", str(point))
    deadline = time.monotonic() + TIMEOUT
    while not (point / "ids").exists():
        assert time.monotonic() < deadline and child.poll() is None, "no mount"
        time.sleep(0.1)
    list((point / "snapshots" / "latest").iterdir())
    child.send_signal(signal.SIGINT)
    code = child.wait(TIMEOUT)
    r.note("mount", ("mount", str(point)), code)


def copy(r: Recorder) -> None:
    """Copy a snapshot from another repository into this one."""
    source = str(r.directory / "source")
    environment = {**os.environ, "RESTIC_PASSWORD_FILE": str(r.directory / "password"), "RESTIC_HOST": "host1"}
    environment["RESTIC_CACHE_DIR"] = str(r.directory / "cache-source")
    r.change(4)
    for arguments in (["init"], ["backup", str(r.data)]):
        done = process.run([r.program, "-r", source, *arguments], env=environment)
        assert done.returncode == 0, done.stderr
    r.run("copy", "copy", "--from-repo", source, "--from-password-file", str(r.directory / "password"))
    r.run("copy again", "copy", "--from-repo", source, "--from-password-file", str(r.directory / "password"))


def interrupted(r: Recorder) -> None:
    """Operations killed at each kind of request, requests whose answer is lost, and what people do afterwards."""
    data = str(r.data)
    pruning = ("forget", "--group-by", "", "--keep-last", "1", "--prune", "--max-unused", "0")
    r.run("init", "init")
    r.change(5)
    r.run("backup", "backup", data)
    for method, path, count in [
        ("PUT", "/locks/", 1),
        ("PUT", "/data/", 2),
        ("PUT", "/index/", 1),
        ("PUT", "/snapshots/", 1),
        ("DELETE", "/locks/", 1),
    ]:
        r.change(3)
        r.kill_at(f"backup killed at {method} {path}", method, path, count, "backup", data)
        if (method, path) == ("PUT", "/data/"):
            r.run("prune while locked", "prune")
            r.run("backup", "backup", data)
            r.run("unlock", "unlock")
    r.run("unlock", "unlock")
    r.run("prune", "prune", "--max-unused", "0")
    for method, path, count in [
        ("DELETE", "/snapshots/", 1),
        ("PUT", "/data/", 1),
        ("PUT", "/index/", 1),
        ("DELETE", "/index/", 1),
        ("DELETE", "/data/", 1),
        ("DELETE", "/locks/", 1),
    ]:
        for files in (5, 2):
            r.change(files)
            r.run("backup", "backup", data)
        r.kill_at(f"forget --prune killed at {method} {path}", method, path, count, *pruning)
        r.run("unlock", "unlock")
        r.run("check", "check")
        if path in ("/snapshots/", "/data/", "/index/"):
            r.run("forget --prune", *pruning)
    for name, action in [("lost answer", Reset()), ("status 500", Status(500, "InternalError"))]:
        for method, path in [
            ("PUT", "/data/"),
            ("PUT", "/index/"),
            ("PUT", "/snapshots/"),
            ("PUT", "/locks/"),
            ("DELETE", "/locks/"),
        ]:
            r.change(2)
            r.with_fault(f"backup, {name} at {method} {path}", action, method, path, "backup", data)
    for method, path in [("DELETE", "/index/"), ("DELETE", "/data/"), ("DELETE", "/snapshots/")]:
        r.change(2)
        r.run("backup", "backup", data)
        r.with_fault(f"forget --prune, lost answer at {method} {path}", Reset(), method, path, *pruning)
    r.run("key remove that fails", "key", "remove", "0" * 64)


def concurrent(r: Recorder) -> None:
    """Two hosts at once, and locks removed beside a running operation."""
    data = str(r.data)
    r.run("init", "init")
    r.change(6)
    with r.held_at("backup beside others", "PUT", "/data/", 2, "backup", data):
        r.run("snapshots", "snapshots", host="host2")
        r.run("backup", "backup", str(r.directory / "password"), host="host2")
        r.run("check while locked", "check", host="host2")
        r.run("forget while locked", "forget", "--keep-last", "1", host="host2")
    r.change(6)
    with r.held_at("backup beside unlock --remove-all", "PUT", "/data/", 2, "backup", data):
        r.run("unlock --remove-all", "unlock", "--remove-all", host="host2")
    r.change(4)
    with r.held_at("backup beside unlock --remove-all and prune", "PUT", "/data/", 1, "backup", data):
        r.run("unlock --remove-all", "unlock", "--remove-all", host="host2")
        r.run("forget --prune", "forget", "--keep-last", "1", "--prune", "--max-unused", "0", host="host2")
    r.change(4)
    r.run("backup", "backup", data)
    r.change(2)
    r.run("backup", "backup", data)
    pruning = ("forget", "--group-by", "", "--keep-last", "1", "--prune", "--max-unused", "0")
    with r.held_at("forget --prune beside unlock --remove-all", "PUT", "/index/", 1, *pruning):
        r.run("unlock --remove-all", "unlock", "--remove-all", host="host2")
    r.run("check", "check")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            r.change(3)
            for done in [
                pool.submit(r.start("backup", place, host=host).wait, TIMEOUT)
                for host, place in [("host1", data), ("host2", str(r.directory / "password"))]
            ]:
                done.result()
            r.note("two backups at once", ("backup",), 0)


def prefixes(r: Recorder) -> None:
    """Two machines, each with a repository of its own at a prefix of one bucket, and other files beside them."""
    r.s3.put(r.bucket, "README.txt", b"other data")
    r.note("a foreign file", [], None)
    for host in ("host1", "host2"):
        r.run("init", "init", host=host, location=host)
    for _ in range(3):
        for host in ("host1", "host2"):
            r.change(2)
            r.run("backup", "backup", str(r.data), host=host, location=host)
    pruning = ("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    r.run("forget --prune", *pruning, host="host1", location="host1")


def refresh(r: Recorder) -> None:
    """A backup of more than five minutes, so that its lock is refreshed."""
    r.run("init", "init")
    with _long_backup(r, "backup with a lock refresh"):
        pass


def unlocked(r: Recorder) -> None:
    """A backup of more than five minutes whose lock is removed at its beginning: it writes a new one."""
    r.run("init", "init")
    with _long_backup(r, "backup whose lock is removed before a refresh"):
        time.sleep(10)
        r.run("unlock --remove-all", "unlock", "--remove-all", host="host2")


def slept(r: Recorder) -> None:
    """A prune on a computer that sleeps for longer than locks last, while another host removes its lock."""
    r.run("init", "init")
    for files in (5, 2):
        r.change(files)
        r.run("backup", "backup", str(r.data))
    pruning = ("forget", "--group-by", "", "--keep-last", "1", "--prune", "--max-unused", "0")
    with r.held_at("forget --prune of a computer that sleeps", "PUT", "/index/", 1, *pruning):
        r.run("unlock --remove-all", "unlock", "--remove-all", host="host2")
        time.sleep(REFRESH)
    r.run("check", "check")


@contextlib.contextmanager
def _long_backup(r: Recorder, name: str) -> Iterator[None]:
    """A backup of its standard input that ends :data:`REFRESH` seconds after the block."""
    end, begin = os.pipe()
    arguments = ("backup", "--stdin")
    child = r.start(*arguments, stdin=end)
    os.close(end)
    with os.fdopen(begin, "wb", buffering=0) as stdin:
        stdin.write(r.random.randbytes(100_000))
        yield
        r.note(f"{name} (first part)", arguments, None)
        time.sleep(REFRESH)
    code = child.wait(TIMEOUT)
    r.note(name, arguments, code)


def attacked(r: Recorder) -> None:
    """Writes that only an attacker makes, for the ETags and version ids that servers give them."""
    r.run("init", "init")
    r.change(16)
    r.run("backup", "backup", str(r.data))
    r.change(3)
    r.run("backup", "backup", str(r.data))
    packs, client = r.current("data/"), r.s3.client
    sizes = {key: r.s3.size(r.bucket, key) for key in packs}
    junk = {key: r.random.randbytes(sizes[key]) for key in packs}
    r.s3.put(r.bucket, packs[0], junk[packs[0]])
    r.note("overwrite packs", [], None)
    r.s3.delete(r.bucket, packs[1])
    r.note("delete one pack", [], None)
    upload = client.create_multipart_upload(Bucket=r.bucket, Key=packs[2])["UploadId"]
    where: Any = {"Bucket": r.bucket, "Key": packs[2], "UploadId": upload}
    part = client.upload_part(**where, PartNumber=1, Body=junk[packs[2]])
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    r.note("junk of the same size in parts", [], None)
    try:
        copied = _onto_itself(r.bucket, packs[3])
        client.copy_object(**copied, SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
        r.note("copy with own key", [], 0)
    except ClientError as error:
        r.note("copy with own key", [str(error)], 1)
    client.copy_object(**_onto_itself(r.bucket, packs[5]))
    r.note("copy onto itself", [], None)
    client.put_bucket_versioning(Bucket=r.bucket, VersioningConfiguration={"Status": "Suspended"})
    for content in (b"one", b"two"):
        r.s3.put(r.bucket, packs[4], content)
    r.note("null version written twice", [], None)
    r.s3.delete(r.bucket, packs[0])
    r.note("delete while suspended", [], None)
    client.put_bucket_versioning(Bucket=r.bucket, VersioningConfiguration={"Status": "Enabled"})
    r.s3.put(r.bucket, packs[1], junk[packs[1]])
    r.note("delete a pack and write another content", [], None)


def _onto_itself(bucket: str, key: str) -> Any:
    where = {"Bucket": bucket, "Key": key}
    return {**where, "CopySource": where, "MetadataDirective": "REPLACE"}


SCENARIOS: Mapping[str, Callable[[Recorder], None]] = {
    "life": life,
    "interrupted": interrupted,
    "concurrent": concurrent,
    "prefixes": prefixes,
    "attacked": attacked,
    "refresh": refresh,
    "unlocked": unlocked,
    "slept": slept,
}

LONG = ("refresh", "unlocked", "slept")
"""Scenarios that mostly wait: they run beside the others."""
