"""Names that a server does not send exactly, because XML cannot carry their characters. Pure.

Ceph RGW, AWS and MinIO percent-encode names on request. SeaweedFS does not: it sends U+FFFD in place of each character
that XML does not allow (SeaweedFS 4.48, measured). Several keys can have the same garbled name, and nobody can tell
which character it was; U+FFFD itself is allowed in a key too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_REPLACEMENT = "\ufffd"
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# The last character of each range that contains U+FFFD or characters that XML does not allow, and nothing else.
_RANGE_ENDS = ("\x08", "\x0c", "\x1f", "\uffff")
_LAST_CHARACTER = "\U0010ffff"

CHARACTERS = (*map(chr, (*range(1, 0x9), 0xB, 0xC, *range(0xE, 0x20))), "\ufffd", "\ufffe", "\uffff")
"""What U+FFFD in a garbled name may stand for."""


def garble(name: str) -> str:
    """The name as such a server sends it."""
    return _NOT_XML.sub(_REPLACEMENT, name)


def is_garbled(name: str) -> bool:
    """Whether a name that came through XML may be another one; also for several names in one text."""
    return _REPLACEMENT in name


def marker_beyond(garbled: Iterable[str], after: str) -> str | None:
    """A marker greater than ``after`` that skips only names which are garbled, for a page that begins with them.

    ``garbled`` are the garbled names of a page that follows the marker ``after``. The names that begin with the
    same exact text and then have a character of one range are skipped. It may be another range than that of the page:
    then the next page is the same, and the next marker is for the next range. None after the last range.
    """
    exact = min(name.partition(_REPLACEMENT)[0] for name in garbled)
    markers = (exact + end + _LAST_CHARACTER for end in _RANGE_ENDS)
    return next((marker for marker in markers if marker > after), None)
