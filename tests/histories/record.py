"""Record the corpus: run restic on real servers and write the version listing of each bucket.

    python -m tests.histories.record [--server rgw|seaweedfs] [--scenario NAME] [--restic 0.14|0.18]

Without options everything is recorded again: both restics of :mod:`tests.restics` on both servers, about 15 minutes,
most of them spent waiting for lock refreshes. Each file of ``tests/histories/corpus/`` is one bucket; its format is
described in :mod:`tests.histories.corpus`. restic's requests pass through ``bench.proxy``, which tells their order
(SeaweedFS lists whole seconds) and interrupts them at exact points: a request that is stalled has reached the server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from bench.proxy import Action, Proxy, Request, Reset, Rule, Stall, Status, matching
from rwm import process
from rwm.model import ObjectVersion
from rwm.s3 import S3
from rwm.s3.listing import parse_page
from tests import restics, servers
from tests.contract.buckets import versioned
from tests.histories.corpus import Operation, Recording, write_recording
from tests.servers import Server

TIMEOUT = 120.0
REFRESH = 330.0
"""Seconds that a backup lasts for a lock refresh: restic refreshes after five minutes."""

_PACK_SIZE = "4"  # MiB, the smallest


class Recorder:
    """One bucket in which restic works, and the operations so far. ``location`` is a prefix in the bucket, or empty."""

    def __init__(self, server: Server, restic: str, scenario: str, directory: Path) -> None:
        self.server = server
        self.program = restic
        self.version = restics.version(restic)
        self.scenario = scenario
        self.directory = directory
        self.random = random.Random(scenario)
        self.s3: S3 = server.connect()
        self.bucket = versioned(self.s3, scenario)
        self.proxy = Proxy(server.endpoint)
        self.operations: list[Operation] = []
        self._operation_of: dict[tuple[str, str], int] = {}
        self.data = directory / "data"
        self.data.mkdir()
        for name in ("password", "new-password"):
            (directory / name).write_text(name)

    def close(self) -> None:
        self.proxy.close()

    # --- running restic ------------------------------------------------------------------------------

    def start(
        self, *arguments: str, host: str = "host1", location: str = "", stdin: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start restic with a cache of its own for each host."""
        environment = self.server.environment("admin") | {
            "RESTIC_PASSWORD_FILE": str(self.directory / "password"),
            "RESTIC_CACHE_DIR": str(self.directory / f"cache-{host}"),
            "RESTIC_PACK_SIZE": _PACK_SIZE,
            "RESTIC_HOST": host,
            "TMPDIR": str(self.directory),
        }
        repository = f"s3:{self.proxy.url}/{self.bucket}/{location}".rstrip("/")
        log = (self.directory / "log").open("ab")
        with log:
            log.write(f"\n### {arguments}\n".encode())
            log.flush()
            return subprocess.Popen(
                [self.program, "-r", repository, *arguments],
                env=environment,
                cwd=self.directory,  # repair packs saves damaged packs there
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=log,
                stderr=log,
            )

    def run(self, name: str, *arguments: str, host: str = "host1", location: str = "") -> int:
        """Run one operation to its end and record it; returns restic's exit code."""
        code = self.start(*arguments, host=host, location=location).wait(TIMEOUT)
        self.note(name, arguments, code, host, location)
        return code

    def note(
        self, name: str, arguments: Iterable[str], code: int | None, host: str = "host1", location: str = ""
    ) -> None:
        """Record what is new in the bucket as done by this operation. ``code`` is None for one that was killed."""
        command = re.sub(re.escape(str(self.directory)), "DIR", " ".join(arguments))
        self.operations.append(Operation(name, host, command, code, location))
        for version in self.listing():
            self._operation_of.setdefault((version.key, version.version_id), len(self.operations) - 1)

    def kill_at(self, name: str, method: str, path: str, count: int, *arguments: str) -> None:
        """Run an operation and kill it (SIGKILL) after its ``count``-th such request has reached the server."""
        self.proxy.add(Rule(Stall(), matching(method, path), after=count - 1))
        seen = len(self.proxy.requests(matching(method, path)))
        child = self.start(*arguments)
        ended = self._wait(lambda: len(self.proxy.requests(matching(method, path))) >= seen + count, child)
        time.sleep(0.3)  # until the server has carried it out
        if not ended:
            child.send_signal(signal.SIGKILL)
        child.wait(TIMEOUT)
        self.proxy.clear()
        self.note(name, arguments, child.returncode if ended else None)

    @contextlib.contextmanager
    def held_at(self, name: str, method: str, path: str, count: int, *arguments: str) -> Iterator[None]:
        """An operation that is stopped, while the block runs, after its ``count``-th such request was carried out."""
        self.proxy.add(Rule(Stall(seconds=2), matching(method, path), count=1, after=count - 1))
        seen = len(self.proxy.requests(matching(method, path)))
        child = self.start(*arguments)
        self._wait(lambda: len(self.proxy.requests(matching(method, path))) >= seen + count, child)
        child.send_signal(signal.SIGSTOP)
        time.sleep(2)  # until the server has carried out what was sent, and the proxy has answered
        self.note(f"{name} (first part)", arguments, None)
        yield
        child.send_signal(signal.SIGCONT)
        code = child.wait(TIMEOUT)
        self.proxy.clear()
        self.note(f"{name} (last part)", arguments, code)

    def with_fault(self, name: str, action: Action, method: str, path: str, *arguments: str) -> None:
        """Run an operation of which one such request fails."""
        self.proxy.add(Rule(action, matching(method, path), count=1))
        self.run(name, *arguments)
        self.proxy.clear()

    def _wait(self, condition: Callable[[], bool], child: subprocess.Popen[bytes]) -> bool:
        """Wait for the condition; whether the child ended before it."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if child.poll() is not None:
                return True
            assert time.monotonic() < deadline, "restic does not come that far"
            time.sleep(0.02)
        return False

    # --- files and results ---------------------------------------------------------------------------

    def change(self, files: int, size: int = 1_500_000) -> None:
        """Write that many files with new random content."""
        for number in range(files):
            (self.data / f"file{number}").write_bytes(self.random.randbytes(size))

    def current(self, prefix: str) -> list[str]:
        """The current keys below a prefix, oldest first."""
        found = [v for v in self.s3.versions(self.bucket, prefix) if v.is_latest and not v.is_marker]
        return [v.key for v in sorted(found, key=lambda v: v.last_modified)]

    def listing(self) -> list[ObjectVersion]:
        """The version listing as the server returns it, unchecked: one page is enough."""
        answer = self.s3.client.list_object_versions(Bucket=self.bucket, MaxKeys=1000, EncodingType="url")
        page = parse_page(answer["RawBody"])  # type: ignore[typeddict-item]  # kept by rwm.s3 for its own parser
        assert page.next_key is None, "more than one page"
        return list(page.versions)

    def recording(self, server_version: str) -> Recording:
        """The bucket as it is now."""
        versions = self.listing()
        steps = steps_of(versions, self.proxy, self.bucket)
        return Recording(
            server=self.server.name,
            server_version=server_version,
            restic=".".join(map(str, self.version)),
            scenario=self.scenario,
            operations=self.operations,
            versions=versions,
            operation_of=[self._operation_of.get((v.key, v.version_id), -1) for v in versions],
            step_of=[steps.get((v.key, v.version_id), -1) for v in versions],
        )


def steps_of(versions: Iterable[ObjectVersion], proxy: Proxy, bucket: str) -> dict[tuple[str, str], int]:
    """The number of the request that made each version, in the order in which requests arrived."""
    requests: defaultdict[tuple[str, bool], list[int]] = defaultdict(list)
    for number, seen in enumerate(proxy.requests(_is_write)):
        if seen.status < 300 and seen.fault != "Status":
            key = seen.request.path.removeprefix(f"/{bucket}/")
            requests[key, seen.request.method == "DELETE"].append(number)
    steps = {}
    oldest_first = list(versions)[::-1]
    for version in sorted(oldest_first, key=lambda version: version.last_modified):  # SeaweedFS lists null last
        numbers = requests[version.key, version.is_marker]
        if numbers:
            steps[version.key, version.version_id] = numbers.pop(0)
    return steps


def _is_write(request: Request) -> bool:
    return request.method in ("PUT", "DELETE") and request.path.count("/") > 1


# --- scenarios ---------------------------------------------------------------------------------------


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
}

_LONG = ("refresh", "unlocked")
"""Scenarios that mostly wait: they run beside the others."""


# --- running -----------------------------------------------------------------------------------------


def record(server: Server, restic: str, scenario: str) -> Recording:
    """Run a scenario in a new bucket."""
    directory = Path(tempfile.mkdtemp(prefix="rwm-record-"))
    recorder = Recorder(server, restic, scenario, directory)
    try:
        SCENARIOS[scenario](recorder)
        return recorder.recording(server_version(server.name))
    except BaseException:
        print((directory / "log").read_text(errors="replace")[-3000:])
        raise
    finally:
        recorder.close()
        shutil.rmtree(directory, ignore_errors=True)


def server_version(name: str) -> str:
    """What the server's program says that it is."""
    command = ["radosgw", "--version"] if name == "rgw" else [process.find_beside_python("weed") or "weed", "version"]
    said = process.run(command, env=os.environ)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else "unknown"


def main() -> None:
    """Record what the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["rgw", "seaweedfs"], action="append")
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    parser.add_argument("--restic", choices=list(restics.PROGRAMS), action="append")
    chosen = parser.parse_args()
    programs = [restics.program(name) for name in chosen.restic or restics.PROGRAMS]
    for name in chosen.server or ["rgw", "seaweedfs"]:
        with getattr(servers, name)() as server:
            scenarios = chosen.scenario or list(SCENARIOS)
            waiting = [(restic, scenario) for restic in programs for scenario in scenarios if scenario in _LONG]
            with ThreadPoolExecutor(max(1, len(waiting))) as pool:
                background = [pool.submit(record, server, *each) for each in waiting]
                for scenario in scenarios:
                    for restic in programs if scenario not in _LONG else []:
                        print("recorded", write_recording(record(server, restic, scenario)), flush=True)
                for done in background:
                    print("recorded", write_recording(done.result()), flush=True)


if __name__ == "__main__":
    main()
