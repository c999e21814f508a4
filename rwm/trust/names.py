"""What the names in a restic repository mean (restic's design document, "Repository layout"). Pure."""

from __future__ import annotations

import re
from enum import StrEnum

from rwm.layout import CONFIG_FILE, REPOSITORY_DIRECTORIES


class Kind(StrEnum):
    """What a key of a repository is. ``FOREIGN``: in a directory of restic, under a name that restic never writes."""

    CONFIG = "config"
    KEYS = "keys"
    INDEX = "index"
    SNAPSHOTS = "snapshots"
    LOCKS = "locks"
    DATA = "data"
    FOREIGN = "foreign"
    OTHER = "other"


CONTENT_ADDRESSED = frozenset({Kind.KEYS, Kind.INDEX, Kind.SNAPSHOTS, Kind.DATA})
"""Kinds whose names are the SHA-256 of the content: written once."""

_NAME = re.compile(r"(keys|index|snapshots|locks)/[0-9a-f]{64}|data/([0-9a-f]{2})/\2[0-9a-f]{62}")
_KINDS = {directory: Kind(directory) for directory in REPOSITORY_DIRECTORIES}


def kind_of(name: str) -> Kind:
    """The kind of a key, given as its name below the root of the repository.

    The key of a directory itself (``data/``, ``data/00/``), which some tools create, is OTHER.
    """
    match = _NAME.fullmatch(name)
    if match:
        return _KINDS[match[1] or "data"]
    if name == CONFIG_FILE:
        return Kind.CONFIG
    directory, slash, rest = name.partition("/")
    if not slash or directory not in _KINDS or not rest or (directory == "data" and re.fullmatch("[0-9a-f]{2}/", rest)):
        return Kind.OTHER
    return Kind.FOREIGN
