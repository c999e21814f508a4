"""Run restic against a bucket of a real server and note which version each operation and each request made."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.proxy import Action, Proxy, Request, Rule, Stall, matching
from rwm.model import ObjectVersion
from rwm.s3 import S3
from rwm.s3.listing import parse_page
from tests import restics
from tests.contract.buckets import versioned
from tests.histories.corpus import Operation, Recording
from tests.servers import Server

TIMEOUT = 120.0
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
