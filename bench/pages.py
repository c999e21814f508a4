"""Listing pages of a large restic repository, generated on request and repeatable.

Keys come in blocks of up to 1,000 with a common prefix, and the 1,000 rows of a block are prepared once. A page is made
by joining rows and inserting the prefix of the block: about a millisecond and a megabyte.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PAGE = 1000
LAST = "\U0010ffff"
"""Sorts after every character of the keys."""

_VERSION = (
    "<Version><Key>@directory@@mark@{suffix}</Key><VersionId>{version}@mark@</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-10-{day:02}T{hour:02}:{minute:02}:@second@.{ms:03}Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass><Owner><ID>user1</ID><DisplayName>user1</DisplayName>"
    "</Owner><Type>Normal</Type></Version>"
)


class Block(NamedTuple):
    """``keys`` keys from number ``first`` on: ``directory`` + ``mark`` (six hex digits) + the suffix of each row."""

    first: int
    keys: int
    directory: str
    mark: str


def _row(suffix: str) -> bytes:
    digest = hashlib.sha256(suffix.encode()).digest()
    return _VERSION.format(
        suffix=suffix,
        version=suffix[:25],
        day=digest[0] % 28 + 1,
        hour=digest[1] % 24,
        minute=digest[7] % 60,
        ms=int.from_bytes(digest[2:4], "big") % 1000,
        etag=digest.hex()[:32],
        size=(16 << 20) + int.from_bytes(digest[4:7], "big") // 8,
    ).encode()


class Bucket(Sequence[str]):
    """The sorted keys of a repository with ``versions`` keys, each with one version.

    Its top level has what makes it a repository, as deleted keys, which do not count.
    Mostly packs in ``data/00/`` to ``data/ff/``, and a thousandth each in ``index/`` and ``snapshots/``.
    ``replaced`` of every 1,000 keys differ from those of a bucket where none is.
    """

    def __init__(self, versions: int, replaced: int = 0) -> None:
        rows = range(replaced, PAGE + replaced)
        self._suffixes = sorted(hashlib.sha256(f"row {n}".encode()).hexdigest()[:58] for n in rows)
        self._rows = [_row(suffix) for suffix in self._suffixes]
        few = min(versions // 1000, PAGE)
        self.blocks: list[Block] = []
        for directory, count in self._directories(versions - 2 * few):
            self._add(directory, count)
        for directory in ("index/", "snapshots/"):
            if few:
                self._add(directory, few)
        self._firsts = [block.first for block in self.blocks]

    @staticmethod
    def _directories(packs: int) -> Iterator[tuple[str, int]]:
        """``data/00/`` to ``data/ff/`` with their number of packs: restic distributes them evenly."""
        for n in range(256):
            if count := packs * (n + 1) // 256 - packs * n // 256:
                yield f"data/{n:02x}/", count

    def _add(self, directory: str, count: int) -> None:
        for start in range(0, count, PAGE):
            first = self.blocks[-1].first + self.blocks[-1].keys if self.blocks else 0
            shard = directory[5:7] if directory.startswith("data/") else "00"
            mark = f"{shard}{start // PAGE:04x}"
            self.blocks.append(Block(first, min(PAGE, count - start), directory, mark))

    def __len__(self) -> int:
        return self.blocks[-1].first + self.blocks[-1].keys

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(number)
        block = self.blocks[bisect_right(self._firsts, number) - 1]
        return f"{block.directory}{block.mark}{self._suffixes[number - block.first]}"

    def find(self, key: str) -> int | None:
        """The number of a key, None if it does not exist."""
        number = bisect_left(self, key)
        return number if number < len(self) and self[number] == key else None

    def xml(self, start: int, stop: int) -> bytes:
        """The XML entries of the keys with numbers from ``start`` to ``stop`` (exclusive)."""
        parts = []
        number = start
        while number < stop:
            at = bisect_right(self._firsts, number) - 1
            block = self.blocks[at]
            end = min(stop, block.first + block.keys)
            rows = b"".join(self._rows[number - block.first : end - block.first])
            fields = (("@directory@", block.directory), ("@mark@", block.mark), ("@second@", f"{at % 60:02}"))
            for token, text in fields:
                rows = rows.replace(token.encode(), text.encode())
            parts.append(rows)
            number = end
        return b"".join(parts)


_CONFIG = (
    b"<DeleteMarker><Key>config</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>"
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></DeleteMarker>"
)


def page(bucket: Bucket, prefix: str = "", delimiter: str = "", marker: str = "", limit: int = PAGE) -> bytes:
    """The response to a ListObjectVersions request, as Ceph RGW writes it. ``delimiter`` is ``/`` or empty."""
    start = max(bisect_left(bucket, prefix), bisect_right(bucket, marker))
    stop = bisect_left(bucket, prefix + LAST)
    if not delimiter:
        end = min(start + limit, stop)
        return _response(bucket.xml(start, end), bucket[end - 1] if end < stop else "")
    is_top = not prefix and not marker
    prefixes: list[str] = ["keys/"] if is_top else []
    keys: list[bytes] = [_CONFIG] if is_top else []
    number, last = 0, ""
    while start < stop and len(prefixes) + number < limit:
        key = bucket[start]
        inside = key[len(prefix) :].partition(delimiter)
        last = prefix + inside[0] + inside[1]
        if inside[1]:
            if last > marker:  # a marker that is a common prefix was in the page before
                prefixes.append(last)
            start = bisect_left(bucket, last + LAST)
        else:
            # Directories contain no directories here: the rest of the prefix are keys.
            end = min(stop, start + limit - len(prefixes) - number)
            keys.append(bucket.xml(start, end))
            number, start, last = number + end - start, end, bucket[end - 1]
    common = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in prefixes)
    return _response(b"".join(keys) + common.encode(), last if start < stop else "")


def _response(content: bytes, last: str) -> bytes:
    version = last[-58:-33] + last[-64:-58]
    more = f"<NextKeyMarker>{last}</NextKeyMarker><NextVersionIdMarker>{version}</NextVersionIdMarker>"
    head = (
        '<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><Name>b</Name><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{'true' if last else 'false'}</IsTruncated>{more if last else ''}"
    )
    return head.encode() + content + b"</ListVersionsResult>"
