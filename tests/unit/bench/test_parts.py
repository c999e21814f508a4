"""The measurements themselves: what they are made from is what they say, and the same each time."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from bench import memory, pages, table, year
from bench.__main__ import NAMED, PARTS, main
from bench.options import Options, parse
from bench.server import serving
from bench.soak import Size, growth, look
from bench.states import Repository
from bench.table import MIB
from rwm.model import ObjectVersion
from rwm.names import hidden_keys
from rwm.s3.listing.pages import parse_page
from rwm.statefile.original import read_original
from rwm.times import parse_http_date

OBJECTS = 2000


def listed(versions: int, prefix: str = "", limit: int = 1000) -> list[ObjectVersion]:
    """All versions below the prefix, page by page as a client asks for them."""
    bucket = pages.Bucket(versions)
    found: list[ObjectVersion] = []
    marker: str | None = ""
    while marker is not None:
        page = parse_page(pages.page(bucket, prefix, "", marker, limit))
        assert len(page.versions) <= limit
        found += page.versions
        marker = page.next_key
    return found


def test_a_repository_goes_from_day_to_day_as_its_changes_say() -> None:
    repository = Repository(OBJECTS)
    now = {entry.key: entry for entry in repository.entries()}
    for day in range(1, 30):
        before = repository.info
        changes = repository.next_day()
        assert [change.key for change in changes] == sorted({change.key for change in changes})
        assert sum(change.entry is None for change in changes) == OBJECTS * 0.003
        assert sum(change.entry is not None for change in changes) == OBJECTS * 0.003
        for key, entry in changes:
            assert (key in now) is (entry is None)
            if entry is None:
                del now[key]
            else:
                now[key] = entry
                assert before.captured_at < entry.last_modified <= repository.info.captured_at, day
        assert repository.info.captured_at - before.captured_at == 86_400_000
        assert repository.info.objects == len(now) == OBJECTS
        assert repository.info.bytes == sum(entry.size for entry in now.values())
    assert list(repository.entries()) == [now[key] for key in sorted(now)]


def test_a_repository_is_the_same_each_time_and_another_for_another_seed() -> None:
    first, second, other = Repository(OBJECTS), Repository(OBJECTS), Repository(OBJECTS, seed=2)
    assert first.next_day() == second.next_day() != other.next_day()
    assert first.info == second.info != other.info
    assert list(first.entries()) == list(second.entries())


def test_a_repository_looks_like_one_of_restic() -> None:
    entries = list(Repository(OBJECTS).entries())
    assert {entry.key.partition("/")[0] for entry in entries} == {"config", "data", "index", "keys", "snapshots"}
    assert all(len(entry.version_id) == 31 and len(entry.etag) == 32 for entry in entries)
    assert len({entry.version_id for entry in entries}) == OBJECTS
    packs = [entry.key for entry in entries if entry.key.startswith("data/")]
    assert len(packs) > OBJECTS * 0.95
    assert all(key[5:7] == key[8:10] and len(key) == len("data/00/") + 64 for key in packs)


def test_the_peers_file_is_one_of_the_original_tool() -> None:
    repository = Repository(OBJECTS)
    target = io.BytesIO()
    year.write_original(repository.info, repository.entries(), target)
    target.seek(0)
    info, entries = read_original(target)
    assert (info.bucket, info.captured_at) == (repository.info.bucket, repository.info.captured_at)
    assert entries == list(repository.entries())


@pytest.mark.parametrize("versions", [1, 999, 5000, 30_500])
def test_pages_are_one_listing(versions: int) -> None:
    found = listed(versions)
    assert len(found) == len(pages.Bucket(versions)) == versions
    assert all(one.key < other.key for one, other in pairwise(found))


def test_pages_obey_prefix_marker_limit_and_delimiter() -> None:
    bucket = pages.Bucket(5000)
    everything = [version.key for version in listed(5000)]
    assert everything == [version.key for version in listed(5000, limit=7)]
    for prefix in ("data/", "data/33/", "index/", "snapshots/none"):
        assert [version.key for version in listed(5000, prefix, 300)] == [k for k in everything if k.startswith(prefix)]
    assert parse_page(pages.page(bucket, "", "/")).prefixes == ["data/", "index/", "snapshots/"]
    below = parse_page(pages.page(bucket, "data/", "/"))
    assert (below.versions, below.next_key) == ([], None)
    assert below.prefixes == sorted({key[:8] for key in everything if key.startswith("data/")})
    some = parse_page(pages.page(bucket, "data/", "/", limit=2))
    assert some.prefixes == below.prefixes[:2]
    rest = parse_page(pages.page(bucket, "data/", "/", some.next_key or ""))
    assert rest.prefixes == below.prefixes[2:]


def test_every_key_has_a_path_that_a_filesystem_can_show() -> None:
    assert hidden_keys(version.key for version in listed(5000)) == {}


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_list_one_directory_after_another(limit: int) -> None:
    bucket = pages.Bucket(30_500)
    marker: str | None = ""
    found: list[ObjectVersion] = []
    while marker is not None:
        page = parse_page(pages.page(bucket, "data/33/", "/", marker, limit))
        assert not page.prefixes and len(page.versions) <= limit
        found += page.versions
        marker = page.next_key
    assert found == listed(30_500, "data/33/")


def test_a_key_is_found_and_what_is_none_is_not() -> None:
    bucket = pages.Bucket(5000)
    assert [bucket.find(bucket[number]) for number in (0, 17, 4999)] == [0, 17, 4999]
    assert [bucket.find(key) for key in ("", "data", "snapshots/none", bucket[17] + "0")] == [None] * 4


def test_an_object_is_as_it_is_listed() -> None:
    version = listed(5000)[17]
    with serving(5000) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        with contextlib.closing(connection):
            answers = {}
            for path in ("/b", f"/b/{version.key}", "/b/snapshots/none"):
                connection.request("HEAD", path)
                answer = connection.getresponse()
                answer.read()
                answers[path] = (answer.status, answer.headers)
    assert [status for status, _ in answers.values()] == [200, 200, 404]
    headers = answers[f"/b/{version.key}"][1]
    assert headers["Content-Length"] == str(version.size)
    assert headers["ETag"].strip('"') == version.etag
    assert headers["x-amz-version-id"] == version.version_id
    assert parse_http_date(headers["Last-Modified"]) == version.last_modified // 1000 * 1000


def test_a_table_is_aligned() -> None:
    lines = table.table("title", ("", "µs", "ratio"), [("boto3", "98.1", "1.00"), ("rwm, raw", "5.0", "0.05")], "note")
    assert lines.splitlines() == [
        "title",
        "               µs   ratio",
        "  boto3      98.1    1.00",
        "  rwm, raw    5.0    0.05",
        "  note",
    ]


def test_figures() -> None:
    assert table.count(1_234_567) == "1 234 567"
    assert [table.mib(size) for size in (0, 1 << 20, 2000 << 20)] == ["0.0 MiB", "1.0 MiB", "2 000 MiB"]
    assert [table.ratio(*pair) for pair in ((1, 3), (300, 2), (1, 0), (1, 140))] == ["0.33", "150", "-", "0.0071"]


def test_parts_run_in_their_order_and_sizes_are_options() -> None:
    assert parse([], PARTS) == (list(PARTS), Options())
    names, options = parse(["memory", "listing", "--small", "--objects", "3000"], PARTS)
    assert (names, options.objects, options.rounds) == (["listing", "memory"], 3000, 1)


def test_a_slow_link_has_one_round_unless_rounds_are_named() -> None:
    assert parse([], PARTS)[1].slow_rounds == 1 < parse([], PARTS)[1].rounds
    options = parse(["--small", "--rounds", "5", "--size", "80"], PARTS)[1]
    assert (options.rounds, options.slow_rounds, options.size) == (5, 5, 80)


def test_a_part_says_how_long_it_took(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(memory, "main", ran.append)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["memory", "--small"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [options.objects for options in ran] == [20_000]
    assert re.fullmatch(r"memory: done in \d+ s\n\n", capsys.readouterr().out)


def test_a_soak_runs_only_if_it_is_named() -> None:
    assert parse([], PARTS, NAMED)[0] == list(PARTS)
    names, options = parse(["soak", "restore", "--minutes", "0.5"], PARTS, NAMED)
    assert (names, options.minutes) == (["restore", "soak"], 0.5)


FLAT = [Size(200 * MIB, 30, 20)] * 120


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (Size(200 * MIB, 30, 20), []),
        (Size(239 * MIB, 52, 41), []),
        (Size(241 * MIB, 30, 20), ["memory has grown from 200.0 MiB to 241.0 MiB"]),
        (
            Size(10 * MIB, 54, 43),
            ["descriptors have grown from 30 to 54", "threads have grown from 20 to 43"],
        ),
    ],
)
def test_what_has_grown_in_a_soak_is_told(end: Size, found: list[str]) -> None:
    assert growth([*FLAT, *[end] * 60], base=120, window=60) == found


def test_the_size_of_a_process() -> None:
    before = look(os.getpid())
    with Path(os.devnull).open(), ThreadPoolExecutor(1) as pool:
        during = pool.submit(look, os.getpid()).result()
    assert during.resident > MIB
    assert during.descriptors > before.descriptors
    assert during.threads > before.threads


@pytest.mark.parametrize("arguments", [["nothing"], ["--objects", "0"], ["--objects", "many"], ["--minutes", "0"]])
def test_what_is_not_understood_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_help_names_the_parts() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True)
    assert all(part in done.stdout for part in (*PARTS, *NAMED))
