"""Keys and paths: the only module that makes one from the other. Pure.

A key is any string; a path is a row of names that a filesystem can hold. A key that has no path is a *hidden key*:
it belongs to its state, but no mount or directory can show it, and the reason is one of ``HiddenReason``.

Five reasons lie in the key itself and are found component by component. The sixth lies in the state: where a file and
a directory would have the same name, the directory is shown and the file is hidden. Only keys that are not hidden by
themselves make directories: ``a/..`` makes no directory ``a`` and so hides no file ``a``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

NAME_MAX = 255
"""Bytes of UTF-8 that a name on Linux may have."""


class HiddenReason(StrEnum):
    """Why a key has no path. The value is what people and JSON get to read."""

    EMPTY = "empty name"
    DOTS = "name is . or .."
    NUL = "NUL in name"
    TOO_LONG = "name over 255 bytes"
    NOT_UTF8 = "name is not UTF-8"
    SHADOWED = "file and directory of the same name"


class HiddenKeyError(ValueError):
    """A path was asked for of a key that has none. ``reason`` says why."""

    def __init__(self, key: str, reason: HiddenReason) -> None:
        super().__init__(f"no path for key {key!r}: {reason.value}")
        self.key = key
        self.reason = reason


def split_key(key: str) -> tuple[str, str]:
    """The key as directory and name: ``a/b/c`` → ``("a/b/", "c")``, ``c`` → ``("", "c")``, ``a/`` → ``("a/", "")``.

    Holds for every key, hidden or not: ``directory + name == key``.
    """
    directory, slash, name = key.rpartition("/")
    return directory + slash, name


def component_hidden_reason(component: str) -> HiddenReason | None:
    """Why one component of a key cannot be the name of a file or directory; None if it can."""
    if not component:
        return HiddenReason.EMPTY
    if component in (".", ".."):
        return HiddenReason.DOTS
    if "\0" in component:
        return HiddenReason.NUL
    try:
        length = len(component.encode())
    except UnicodeEncodeError:
        return HiddenReason.NOT_UTF8
    return HiddenReason.TOO_LONG if length > NAME_MAX else None


def hidden_reason(key: str) -> HiddenReason | None:
    """Why the key has no path, by itself and whatever else its state holds; None if it has one."""
    for component in key.split("/"):
        reason = component_hidden_reason(component)
        if reason is not None:
            return reason
    return None


def parent_directories(key: str) -> Iterator[str]:
    """The directories above a key, outermost first, each with its slash: ``a/b/c`` → ``a/``, ``a/b/``."""
    end = key.find("/")
    while end >= 0:
        yield key[: end + 1]
        end = key.find("/", end + 1)


def hidden_keys(keys: Iterable[str]) -> dict[str, HiddenReason]:
    """The hidden ones among all the keys of a state, in the order given. Needs memory for all of the keys."""
    reasons = {key: hidden_reason(key) for key in keys}
    shown_keys = (key for key, reason in reasons.items() if reason is None)
    shown_directories = {directory for key in shown_keys for directory in parent_directories(key)}
    hidden: dict[str, HiddenReason] = {}
    for key, reason in reasons.items():
        if reason is None and key + "/" in shown_directories:
            reason = HiddenReason.SHADOWED
        if reason is not None:
            hidden[key] = reason
    return hidden


def path_parts(key: str) -> tuple[str, ...]:
    """The names, outermost first, that lead to a key; raises HiddenKeyError for a key that has no path."""
    reason = hidden_reason(key)
    if reason is not None:
        raise HiddenKeyError(key, reason)
    return tuple(key.split("/"))


def path_below(root: Path, key: str) -> Path:
    """The path of a key below ``root``; raises HiddenKeyError for a key that has none.

    The path never leaves ``root`` by its text. It may by a symlink that somebody put below ``root``: whoever writes
    there opens with O_NOFOLLOW, directory by directory, or starts from an empty directory of its own.
    """
    return root.joinpath(*path_parts(key))
