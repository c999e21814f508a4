"""Sibling names around page breaks: every key is listed on every server, with every page size.

SeaweedFS walks directories but continues by byte order, so it can lose names beside ``k-a`` or ``repo-2/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.s3.listing.history import list_histories
from rwm.states.capture import capture_state
from tests.contract.buckets import Model, at_once, by_key_order, versioned
from tests.servers import Server

# More than a page as servers have them, and many pages of a few keys.
LARGE, SMALL = (1000,), (7, 2)
REAL = ("seaweedfs", "rgw")


def sizes(*servers: str, large: Sequence[str] = REAL) -> pytest.MarkDecorator:
    """Small ones on these servers, and large ones. SeaweedFS is the server that could lose names."""
    many = [pytest.param(name, 1.0, LARGE, id=f"{name}-large", marks=pytest.mark.slow) for name in large]
    small = [pytest.param(name, 0.1, SMALL, id=f"{name}-small") for name in servers]
    return pytest.mark.parametrize(("any_server", "scale", "sizes"), [*many, *small], indirect=["any_server"])


def fill(s3: S3, keys: list[str], *, several: int = 0, deleted: int = 0) -> Model:
    """A bucket of these keys; every ``several``-th has three versions, every ``deleted``-th a marker above."""
    model = Model(s3, versioned(s3, "siblings"))

    def write(numbered: tuple[int, str]) -> None:
        number, key = numbered
        for count in range(3 if several and number % several == 0 else 1):
            model.put(key, b"x" * count)
        if deleted and number % deleted == 0:
            model.delete(key)

    at_once(write, enumerate(keys))
    return model


def complete(s3: S3, model: Model, sizes: tuple[int, ...], prefix: str = "") -> None:
    for size in sizes:
        assert by_key_order(s3.versions(model.bucket, prefix, page_size=size)) == model.expected(prefix), size


def captured(s3: S3, model: Model, tmp_path: Path) -> None:
    found = [entry for part in list_histories(s3, Location(model.bucket)) for history in part for entry in history]
    assert by_key_order(found) == model.expected()
    with Index.open(tmp_path / "index.sqlite") as index:
        info = capture_state(s3, index, Location(model.bucket))
        assert {entry.key: entry.version_id for entry in index.entries(info)} == model.current()


def count_requests(s3: S3, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every ListObjectVersions request from now on."""
    asked: list[object] = []
    ask = s3.client.list_object_versions

    def counted(**request: Any) -> Any:
        asked.append(request)
        return ask(**request)

    monkeypatch.setattr(s3.client, "list_object_versions", counted)
    return asked


@sizes(*REAL, "moto", large=["seaweedfs"])
def test_root_keys_are_complete(any_server: Server, tmp_path: Path, scale: float, sizes: tuple[int, ...]) -> None:
    s3 = any_server.connect()
    model = fill(s3, [f"k{number}{end}" for number in range(int(530 * scale)) for end in ("", "-a")])
    for size in sizes:
        levels = [*s3.level(model.bucket, page_size=size)]
        assert by_key_order(entry for level in levels for entry in level.versions) == model.expected(), size
    captured(s3, model, tmp_path)


@sizes(*REAL, "moto", large=["seaweedfs"])
def test_sibling_prefixes_below_a_prefix(
    any_server: Server, tmp_path: Path, scale: float, sizes: tuple[int, ...]
) -> None:
    s3 = any_server.connect()
    count = int(350 * scale)
    keys = [f"all/{prefix}/{number:03}" for prefix in ("repo", "repo-2", "repo.old") for number in range(count)]
    model = fill(s3, keys)
    complete(s3, model, sizes, "all/")
    captured(s3, model, tmp_path)


@sizes(*REAL)
def test_packs_beside_other_keys(any_server: Server, tmp_path: Path, scale: float, sizes: tuple[int, ...]) -> None:
    """With markers and several versions of a key."""
    s3 = any_server.connect()
    keys = [f"data/{number % 8:02x}/{number:04}" for number in range(int(640 * scale))]
    keys += [
        f"data/{number:02x}{end}" for number in range(8) for end in ("", "-e", "-e/x", ".versions-", " ", "/x/y-z")
    ]
    keys += [f"data/05-{number:03}" for number in range(int(200 * scale))]
    model = fill(s3, keys, several=5, deleted=7)
    complete(s3, model, sizes, "data/")
    captured(s3, model, tmp_path)


@pytest.mark.parametrize("concurrency", [None, 4])
def test_parallel_listing_is_complete(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int | None
) -> None:
    monkeypatch.setattr("rwm.s3.listing.parallel._PROBE", 20)
    s3 = server.connect()
    keys = [f"data/{number % 24:02x}/{number:04}" for number in range(240)]
    model = fill(s3, [*keys, "data/05", "data/05-e", "data/05-e/x", "data/1", "data/zz"], several=5, deleted=7)
    found = [
        entry
        for part in list_histories(s3, Location(model.bucket), concurrency=concurrency)
        for h in part
        for entry in h
    ]
    assert by_key_order(found) == model.expected()
    with Index.open(tmp_path / "index.sqlite") as index:
        info = capture_state(s3, index, Location(model.bucket), concurrency=concurrency)
        assert {entry.key: entry.version_id for entry in index.entries(info)} == model.current()


@pytest.mark.slow
def test_more_siblings_than_a_page(server: Server, tmp_path: Path) -> None:
    """Alone, beside a key of their common beginning, and beside a prefix of that name too."""
    s3 = server.connect()
    model = fill(s3, [f"backup-{number:04}" for number in range(1040)])
    captured(s3, model, tmp_path)
    for body in (b"", b"again"):
        model.put("backup", body)
    model.delete("backup")
    captured(s3, model, tmp_path)
    model.put("backup/of/it", b"")
    captured(s3, model, tmp_path)


def test_a_small_prefix_is_one_request(any_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = any_server.connect()
    model = fill(s3, [f"data/{number:02x}/{end}" for number in range(16) for end in ("k", "k-a")])
    asked = count_requests(s3, monkeypatch)
    assert by_key_order(s3.versions(model.bucket, "data/")) == model.expected()
    assert len(asked) == 1


def test_rgw_is_listed_flat(rgw: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = rgw.connect()
    model = fill(s3, [f"data/{number % 16:02x}/{number:03}" for number in range(200)])
    asked = count_requests(s3, monkeypatch)
    assert by_key_order(s3.versions(model.bucket, "data/", page_size=50)) == model.expected()
    assert len(asked) <= 5
