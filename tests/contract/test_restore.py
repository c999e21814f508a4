"""A state restored to a directory and to a bucket on each server: exact, compared, and resumed after kill -9."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.proxy import Proxy, Rule, Stall, Wrong, matching
from rwm.config import S3Settings
from rwm.errors import Refused
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restore import RestoreResult, StatePart, restore_to_bucket, restore_to_directory
from rwm.s3 import S3, connect
from rwm.states import capture_state
from tests.contract.buckets import at_once, unique, versioned
from tests.e2e.cli import Shell
from tests.servers import Server

PACKS = 12
HIDDEN = "n" * 300
ODD = [HIDDEN, "a b/100%41+c", "Привет/\u00e9", "x&y='1'?z#"]
DONE = 5
"""Objects that a restore has done when it is killed."""


@dataclass
class Source:
    """A bucket with a state, which it does not show any more."""

    s3: S3
    index: Index
    info: StateInfo
    content: dict[str, bytes]
    settings: S3Settings
    path: Path

    @property
    def part(self) -> StatePart:
        return StatePart(self.index, self.info)

    def to_bucket(self, target: str) -> RestoreResult:
        return restore_to_bucket(self.s3, self.part, Location.parse(target))

    def current(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """The current objects below a prefix, by the rest of their keys."""
        keys = [v.key for v in self.s3.versions(bucket, prefix) if v.is_latest and not v.is_marker]
        bodies = at_once(lambda key: self.s3.get(bucket, key), keys)
        return {key.removeprefix(prefix): body for key, body in zip(keys, bodies, strict=True)}


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Iterator[Source]:
    s3 = server.connect()
    bucket, content = versioned(s3, "restore"), {key: key.encode() for key in (*ODD, "config")}
    for number in range(PACKS):
        body = f"pack {number}".encode() * 1000
        name = hashlib.sha256(body).hexdigest()
        content[f"data/{name[:2]}/{name}"] = body
    at_once(lambda key: s3.put(bucket, key, content[key]), content)
    upload_in_parts(s3, bucket, "parts", content)
    path = tmp_path / "index.sqlite"
    with Index.open(path) as index:
        info = capture_state(s3, index, Location(bucket))
        at_once(lambda key: s3.put(bucket, key, b"overwritten"), content)
        s3.delete(bucket, "config")
        yield Source(s3, index, info, content, S3Settings(server.endpoint, server.accounts["admin"]), path)


def upload_in_parts(s3: S3, bucket: str, key: str, content: dict[str, bytes]) -> None:
    """An object whose ETag is no MD5 sum."""
    parts = [bytes(5 << 20), b"end"]
    upload = s3.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    etags = [
        s3.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    s3.client.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": n} for n, etag in enumerate(etags, 1)]},
    )
    content[key] = b"".join(parts)


def test_to_a_bucket_it_is_exact_and_can_be_repeated(source: Source) -> None:
    target = unique("target")
    result = source.to_bucket(target)
    assert (result.objects, result.failures, result.foreign) == (len(source.content), [], [])
    assert source.current(target) == source.content
    again = source.to_bucket(target)
    assert (again.objects, again.failures) == (len(source.content), [])
    assert again.kept >= len(source.content) - 1, "all but the one with parts are proved by their ETags"
    captured = capture_state(source.s3, source.index, Location(target))
    assert (captured.objects, captured.bytes) == (source.info.objects, source.info.bytes)

    source.s3.put(target, "data/new", b"1")
    with pytest.raises(Refused, match="'data/new': it is not of the state"):
        source.to_bucket(target)


def test_below_a_prefix_what_is_beside_stays(source: Source) -> None:
    target = versioned(source.s3, "target")
    source.s3.put(target, "beside", b"1")
    assert source.to_bucket(f"{target}/copy").failures == []
    assert source.current(target, "copy/") == source.content
    source.s3.put(target, "copy/config", b"c0nfig")
    with pytest.raises(Refused, match="'copy/config': the copy has another content"):
        source.to_bucket(f"{target}/copy")


def test_a_config_that_the_network_changes_is_found(source: Source, tmp_path: Path) -> None:
    """No name proves it, but its ETag does."""
    with Proxy(source.settings.endpoint_url) as proxy:
        proxy.add(Rule(Wrong(), matching("GET", "/config$")))
        s3 = connect(S3Settings(proxy.url, source.settings.credentials))
        result = restore_to_directory(s3, source.part, tmp_path / "target")
    assert [key for key, _ in result.failures] == ["config"]
    assert "MD5" in result.failures[0][1]
    assert not (tmp_path / "target" / "config").exists()


# --- kill -9 -------------------------------------------------------------------------------------------------


def _restore(url: str, settings: S3Settings, index_path: Path, state: str, target: Path | Location) -> None:
    """In a child."""
    s3 = connect(S3Settings(url, settings.credentials))
    with Index.open(index_path, readonly=True) as index:
        part = StatePart(index, index.resolve(state))
        if isinstance(target, Location):
            restore_to_bucket(s3, part, target)
        else:
            restore_to_directory(s3, part, target)


@contextmanager
def killed_restore(source: Source, method: str, target: Path | Location, done: Callable[[], int]) -> Iterator[int]:
    """Kill a restore when that many objects are done, and all other requests for content have no answer."""
    with Proxy(source.settings.endpoint_url) as proxy:
        when = matching(method, "/data/")
        proxy.add(Rule(Stall(), when, after=DONE))
        arguments = (proxy.url, source.settings, source.path, source.info.id, target)
        child = multiprocessing.get_context("spawn").Process(target=_restore, args=arguments)
        child.start()
        while done() < DONE or len(proxy.requests(when)) < PACKS:
            assert child.is_alive()
            time.sleep(0.02)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    yield done()


def test_a_killed_restore_to_a_directory_goes_on(source: Source, tmp_path: Path) -> None:
    target = tmp_path / "target"

    def packs() -> int:
        return len(list(target.glob("data/*/*")))

    with killed_restore(source, "GET", target, packs) as done:
        assert list(target.glob(".rwm-partial/*")), "files that are not complete are there"
        result = restore_to_directory(source.s3, source.part, target)
    assert (result.objects, result.failures) == (len(source.content), [])
    assert result.kept >= done
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert {name: body for name, body in found.items() if not name.startswith(".rwm-")} == {
        key: body for key, body in source.content.items() if key != HIDDEN
    }
    assert [path.name for path in target.glob(".rwm-*")] == [".rwm-hidden"]


def test_a_killed_restore_to_a_bucket_goes_on(source: Source) -> None:
    target = Location(unique("target"))

    def packs() -> int:
        if not source.s3.bucket_exists(target.bucket):
            return 0
        return sum(1 for _ in source.s3.versions(target.bucket, "data/"))

    with killed_restore(source, "PUT", target, packs) as done:
        result = source.to_bucket(str(target))
    assert (result.objects, result.failures) == (len(source.content), [])
    assert result.kept >= done
    assert source.current(target.bucket) == source.content
    assert len(list(source.s3.versions(target.bucket, "data/"))) >= PACKS


# --- a protected bucket --------------------------------------------------------------------------------------


def test_create_for_makes_a_protected_bucket_and_goes_on(source: Source, server: Server, tmp_path: Path) -> None:
    shell, target = Shell(tmp_path), unique("target")
    config = shell.configure("admin.conf", server.endpoint, server.accounts["admin"], {"index_path": str(source.path)})
    command = ("rwm", "-c", config, "state", "restore", source.info.id, "--to-bucket", target, "--create-for", "user1")
    source.s3.create_bucket(target)  # a run was killed before it enabled versioning
    first = shell.json(*command)
    assert (first["objects"], first["kept"], first["failures"]) == (source.info.objects, 0, [])
    assert source.current(target).keys() >= source.content.keys()
    shell("rwm", "-c", config, "storage", "check", target)
    user = server.connect("user1")
    user.put(target, "data/new", b"1")
    (new,) = source.s3.versions(target, "data/new")
    assert user.delete_versions(target, [("data/new", new.version_id)]), "the machine cannot remove a version"

    source.s3.delete_versions(target, [("data/new", new.version_id)])
    config_version = next(iter(source.s3.versions(target, "config"))).version_id
    source.s3.delete_versions(target, [("config", config_version)])
    again = shell.json(*command)
    assert again["failures"] == []
    assert again["objects"] > again["kept"] >= again["objects"] - 2
    assert again["captured"] != first["captured"]
    states = shell.json("rwm", "-c", config, "state", "list", target)
    assert [state["objects"] for state in states] == [source.info.objects] * 2

    third = shell.json(*command)
    assert (third["captured"] == again["captured"]) is (third["kept"] == third["objects"])

    assert "has other users" in shell(*command[:-1], "user2", code=5).stderr
