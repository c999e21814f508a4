"""The rules about keys that a version listing cannot tell (:mod:`rwm.s3.listing.unknown_keys`). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rwm.layout import CONFIG_FILE, REPOSITORY_DIRECTORIES
from rwm.s3.listing import UnknownKey
from rwm.trust.finding import IN_NO_STATE, Finding, Rule

GARBLED_KEY = Rule(
    "garbled-key",
    "proof",
    "a directory of the repository has a key that the server does not list exactly",
    "restic names files by hexadecimal digits: somebody else wrote a key that stops other programs",
)
AMBIGUOUS_KEY = Rule(
    "ambiguous-key",
    "proof",
    "the server does not list the versions of a file in their order",
    "it needs suspended versioning, or thousands of versions and names beside a file that restic writes once",
)

_DIRECTORIES = tuple(f"{name}/" for name in REPOSITORY_DIRECTORIES)


def judge_unknown_keys(root: str, keys: Iterable[UnknownKey], now: int) -> Iterator[Finding]:
    """Findings about the unknown keys in the directories of the repository at ``root``.

    No state has a garbled key, so none has a consequence of it. What a state has of an ambiguous one is not known. A
    garbled directory has no time: it is found at ``now``.
    """
    for key in keys:
        name = key.key.removeprefix(root)
        if not key.key.startswith(root) or not (name.startswith(_DIRECTORIES) or name == CONFIG_FILE):
            continue
        at = key.at or now
        if key.reason == "garbled":
            detail = "a character that XML cannot carry in its name"
            yield Finding(GARBLED_KEY, root, key.key, key.version_id, at, detail, *IN_NO_STATE)
        else:
            detail = "its versions are not listed newest first"
            yield Finding(AMBIGUOUS_KEY, root, key.key, key.version_id, at, detail, at)
