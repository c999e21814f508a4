r"""The options of ``-o``, as in mount(8) and fstab: our own, ignored, refused and unknown ones. Pure.

A comma ends an option, so no value can contain one. Nothing is decoded here: mount(8) decodes the ``\040`` of fstab
before it calls a helper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.errors import UsageError

VALUE_OPTIONS = (
    "at",
    "uid",
    "gid",
    "umask",
    "cache_dir",
    "cache_size",
    "buffer_size",
    "connections",
    "config",
    "log_file",
)
"""Options with a value. Each means the option of ``rwmfs mount`` of that name (``--cache-dir``)."""

FLAG_OPTIONS = ("allow_other",)
"""Options without a value."""

PATH_OPTIONS = ("cache_dir", "config", "log_file")
"""Value options whose value is a path."""

# fmt: off
IGNORED = frozenset({
    "ro", "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "noowner", "group", "nogroup", "nofail",
    "_netdev", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "dirsync", "atime", "noatime",
    "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
    "silent", "loud",
})
# fmt: on
"""Options that mount(8) or systemd handles, or without effect: a mount is always read-only, nosuid, nodev, noexec."""

IGNORED_VALUE_OPTIONS = ("comment", "user")
IGNORED_PREFIXES = ("x-", "X-")

REFUSED = {
    "rw": "a state is read-only (except locks/, which restic writes to)",
    "remount": "a mount cannot be changed: unmount it and mount it again",
}


def split(texts: Iterable[str]) -> list[str]:
    """The single options of any number of ``-o`` arguments, in order."""
    return [option for text in texts for option in text.split(",") if option]


def is_known(option: str) -> bool:
    """Whether the name of an option is known, even if it is refused or its value is wrong."""
    name, _, _ = option.partition("=")
    return name in (*VALUE_OPTIONS, *FLAG_OPTIONS, *REFUSED) or _is_ignored(option)


def parse(options: Sequence[str]) -> dict[str, str | bool]:
    """Our own options by name; the last one of a name wins. Raises UsageError.

    A flag is True. Values are unchecked text.
    """
    parsed: dict[str, str | bool] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if name in REFUSED:
            raise UsageError(f"mount option {name}: {REFUSED[name]}")
        if name in FLAG_OPTIONS:
            if equals:
                raise UsageError(f"mount option {option}: {name} takes no value")
            parsed[name] = True
        elif name in VALUE_OPTIONS:
            if not value:
                raise UsageError(f"mount option {name} needs a value", hint=f"write it as {name}=…")
            parsed[name] = value
        elif not _is_ignored(option):
            known = ", ".join((*FLAG_OPTIONS, *VALUE_OPTIONS))
            hint = f"options are {known}, and those of mount(8); a value cannot contain a comma"
            raise UsageError(f"mount option {option} is unknown", hint=hint)
    return parsed


def _is_ignored(option: str) -> bool:
    name, equals, _ = option.partition("=")
    if name.startswith(IGNORED_PREFIXES):
        return True
    return name in (IGNORED_VALUE_OPTIONS if equals else IGNORED)
