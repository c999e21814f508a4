"""Convert keys to paths: the only module that does. Pure.

A key is any string; a path is a sequence of names that a filesystem allows. A key without a path is a *hidden key*:
it is part of its state, but no mount or directory can show it. The reason is a ``HiddenReason``.

Five reasons depend on the key alone and are found component by component. The sixth depends on the state: if a file
and a directory have the same name, the directory is shown and the file is hidden. Only keys that are not hidden by
themselves create directories: ``a/..`` creates no directory ``a``, so it does not hide a file ``a``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

NAME_MAX = 255
"""Maximum length of a name on Linux, in bytes of UTF-8."""


class HiddenReason(StrEnum):
    """Why a key has no path. The value is the text in messages and JSON."""

    EMPTY = "empty name"
    DOTS = "name is . or .."
    NUL = "NUL in name"
    TOO_LONG = "name over 255 bytes"
    NOT_UTF8 = "name is not UTF-8"
    SHADOWED = "file and directory of the same name"


class HiddenKeyError(ValueError):
    """A hidden key has no path. ``reason`` says why."""

    def __init__(self, key: str, reason: HiddenReason) -> None:
        super().__init__(f"no path for key {key!r}: {reason.value}")
        self.key = key
        self.reason = reason


def split_key(key: str) -> tuple[str, str]:
    """Split into directory and name: ``a/b/c`` → ``("a/b/", "c")``, ``c`` → ``("", "c")``, ``a/`` → ``("a/", "")``.

    For every key, hidden or not: ``directory + name == key``.
    """
    directory, slash, name = key.rpartition("/")
    return directory + slash, name


def component_hidden_reason(component: str) -> HiddenReason | None:
    """Why a component of a key cannot be the name of a file or directory; None if it can."""
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
    """Why the key alone, regardless of its state, has no path; None if it has one."""
    for component in key.split("/"):
        reason = component_hidden_reason(component)
        if reason is not None:
            return reason
    return None


def parent_directories(key: str) -> Iterator[str]:
    """The directories that contain a key, outermost first, each with its slash: ``a/b/c`` → ``a/``, ``a/b/``."""
    end = key.find("/")
    while end >= 0:
        yield key[: end + 1]
        end = key.find("/", end + 1)


def hidden_keys(keys: Iterable[str]) -> dict[str, HiddenReason]:
    """The hidden keys among all keys of a state, in the given order. Holds all keys in memory."""
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
    """The components of a key, outermost first. Raises HiddenKeyError for a hidden key."""
    reason = hidden_reason(key)
    if reason is not None:
        raise HiddenKeyError(key, reason)
    return tuple(key.split("/"))
