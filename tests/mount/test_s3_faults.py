"""Each kind of S3 fault on a real mount: the result of read(2), the log, and reads afterwards.

The titles of ROWS are those of the table in docs/semantics.md.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bench.proxy import (
    Action,
    Close,
    Flip,
    IgnoreRange,
    Lengthen,
    Proxy,
    Reset,
    Shorten,
    Stall,
    Status,
    Wrong,
    WrongRange,
    WrongVersion,
)
from tests.contract.buckets import at_once
from tests.mount.faulty import LONG, Mounted, Recorded, content, mounted, named
from tests.servers import Server

MIB = 1 << 20
SMALL_DATA, PACK_DATA, OTHER_DATA = content(5000, 1), content(9 * MIB + 17, 2), content(300_000, 3)
SMALL, PACK, OTHER = named("index", SMALL_DATA), named("data", PACK_DATA), named("data", OTHER_DATA)
BOTH, ONLY_PACK = (SMALL, PACK), ((PACK,), (PACK,))
FILES = {"config": b"configuration", SMALL: SMALL_DATA, PACK: PACK_DATA, OTHER: OTHER_DATA}


@pytest.fixture(scope="module")
def recorded(seaweedfs: Server, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(seaweedfs, tmp_path_factory.mktemp("recorded"), FILES)


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


@dataclass(frozen=True)
class Row:
    """A fault, what the log says when it lasts, and the objects that it can happen to.

    ``unnoticed`` are those of them of which it is not noticed when it happens once.
    """

    title: str
    action: Action
    errors: str
    keys: tuple[str, ...] = BOTH
    unnoticed: tuple[str, ...] = BOTH
    fetch_timeout: float = LONG
    errno: int = errno.EIO


ROWS = [
    Row("404: the version is gone", Status(404, "NoSuchVersion"), r"NoSuchVersion \(HTTP 404\)", unnoticed=()),
    Row("403: access denied", Status(403, "AccessDenied"), r"AccessDenied \(HTTP 403\)", unnoticed=()),
    Row("403: the keys have expired", Status(403, "ExpiredToken"), r"ExpiredToken \(HTTP 403\)", unnoticed=()),
    Row(
        "403: the object is archived",
        Status(403, "InvalidObjectState"),
        r"InvalidObjectState \(HTTP 403\).*`rwm state show STATE --archived`",
        unnoticed=(),
        errno=errno.EACCES,
    ),
    Row("400: the request is refused", Status(400, "ExpiredToken"), r"ExpiredToken \(HTTP 400\)", unnoticed=()),
    Row("501: not supported", Status(501, "NotImplemented"), r"NotImplemented \(HTTP 501\)", unnoticed=()),
    Row("a redirect", Status(301, "PermanentRedirect"), r"PermanentRedirect \(HTTP 301\)", unnoticed=()),
    Row("5xx, 429", Status(503, "SlowDown"), r"no usable answer within 3 s; the last one: .*", fetch_timeout=3),
    Row("reset before the answer", Reset(), r"no usable answer within 3 s; the last one: .*", fetch_timeout=3),
    Row("reset within the answer", Reset(1000), r"no usable answer within 3 s; the last one: .*", fetch_timeout=3),
    Row("closed within the answer", Close(1000), r"no usable answer within 3 s; the last one: .*", fetch_timeout=3),
    Row("silence before the answer", Stall(), r"no usable answer within 3 s", fetch_timeout=3),
    Row("silence within the answer", Stall(1000), r"no usable answer within 3 s", fetch_timeout=3),
    Row("a shorter answer", Shorten(10), r"received \d+ bytes for bytes \d+ to \d+"),
    Row("a longer answer", Lengthen(10), r"received \d+ bytes for bytes \d+ to \d+"),
    Row(
        "200 with an error in it",
        Status(200, content=b"<Error><Code>InternalError</Code></Error>"),
        "received 41 bytes",
    ),
    Row("another version", WrongVersion("another"), "the server answered with version another"),
    Row(
        "another range, and the answer says so",
        WrongRange(-7),
        "received 'bytes \\d+-\\d+' for bytes",
        keys=(PACK,),
        unnoticed=(PACK,),
    ),
    Row(
        "another range, and the answer denies it",
        WrongRange(-7, honest=False),
        "wrong content: data/",
        keys=(PACK,),
        unnoticed=(),
    ),
    Row(
        "all of it for a range",
        IgnoreRange(),
        r"received \d+ bytes for bytes \d+ to \d+",
        keys=(PACK,),
        unnoticed=(PACK,),
    ),
    Row("one wrong byte", Flip(4999), "wrong content: ", unnoticed=(SMALL,)),
    Row("wrong bytes", Wrong(), "wrong content: ", unnoticed=(SMALL,)),
]
PASSING = [row for row in ROWS if row.unnoticed]


def title(row: Row) -> str:
    return row.title


def errno_of(mount: Mounted, key: str) -> int:
    """The errno of reading a file, which must fail."""
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        mount.read(key)
    assert caught.value.errno is not None
    return caught.value.errno


@pytest.mark.parametrize("row", ROWS, ids=title)
def test_a_lasting_fault_is_eio_and_the_mount_continues(
    row: Row, recorded: Recorded, proxy: Proxy, tmp_path: Path
) -> None:
    with mounted(recorded, proxy, tmp_path, read_timeout=0.3, fetch_timeout=row.fetch_timeout) as mount:
        for key in row.keys:
            mount.fault(key, row.action)
        assert at_once(partial(errno_of, mount), row.keys) == [row.errno] * len(row.keys)
        assert mount.read(OTHER) == OTHER_DATA
        errors = mount.errors()
        for key in row.keys:
            about = [line for line in errors if key in line]
            assert about and all(re.search(row.errors, line) for line in about), (row.errors, mount.logged())
        assert len([line for line in errors if SMALL in line]) == row.keys.count(SMALL)
        proxy.clear()
        for key in row.keys:
            assert mount.read(key) == FILES[key]
        assert mount.errors() == errors


@pytest.mark.parametrize("row", PASSING, ids=title)
def test_a_passing_fault_is_retried(row: Row, recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    with mounted(recorded, proxy, tmp_path, read_timeout=0.3) as mount:
        for key in row.unnoticed:
            mount.fault(key, row.action, count=1)
            assert mount.read(key) == FILES[key]
        assert sum(seen.fault != "" for seen in proxy.requests()) == len(row.unnoticed)
