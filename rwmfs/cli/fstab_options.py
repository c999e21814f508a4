r"""The options behind ``-o``, as people know them from mount(8) and fstab: ours, everybody's, and wrong ones. Pure.

A comma ends an option, so no value can hold one. Nothing is decoded here: mount(8) undoes the ``\040`` of fstab before
it calls anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.errors import UsageError

VALUES = (
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
"""Options of a mount that take a value. Each is the option of ``rwmfs mount`` with that name (``--cache-dir``)."""

FLAGS = ("allow_other",)
"""Options of a mount that take none."""

PATHS = ("cache_dir", "config", "log_file")
"""Those of ``VALUES`` whose value is a path."""

# fmt: off
IGNORED = frozenset({
    "ro", "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "noowner", "group", "nogroup", "nofail",
    "_netdev", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "dirsync", "atime", "noatime",
    "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
    "silent", "loud",
})
# fmt: on
"""What mount(8) and systemd act upon, or what changes nothing: a mount is always read-only, nosuid, nodev, noexec."""

IGNORED_VALUES = ("comment", "user")
IGNORED_PREFIXES = ("x-", "X-")

REFUSED = {
    "rw": "a state is read-only (but for locks/, which restic writes to)",
    "remount": "a mount stays as it was made: umount it and mount it again",
}


def split(texts: Iterable[str]) -> list[str]:
    """The single options of any number of ``-o``, in their order."""
    return [option for text in texts for option in text.split(",") if option]


def is_understood(option: str) -> bool:
    """Whether an option is known, right or wrong."""
    name, _, _ = option.partition("=")
    return name in (*VALUES, *FLAGS, *REFUSED) or _is_ignored(option)


def parse(options: Sequence[str]) -> dict[str, str | bool]:
    """Those options that are ours, by name; of several with the same name the last counts. Raises UsageError.

    A flag is True. Values are text, and not looked at.
    """
    found: dict[str, str | bool] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if name in REFUSED:
            raise UsageError(f"mount option {name}: {REFUSED[name]}")
        if name in FLAGS:
            if equals:
                raise UsageError(f"mount option {option}: {name} takes no value")
            found[name] = True
        elif name in VALUES:
            if not value:
                raise UsageError(f"mount option {name} needs a value", hint=f"write it as {name}=…")
            found[name] = value
        elif not _is_ignored(option):
            known = ", ".join((*FLAGS, *VALUES))
            hint = f"there are {known}, and those of mount(8); a value cannot hold a comma"
            raise UsageError(f"mount option {option} is unknown", hint=hint)
    return found


def _is_ignored(option: str) -> bool:
    name, equals, _ = option.partition("=")
    if name.startswith(IGNORED_PREFIXES):
        return True
    return name in (IGNORED_VALUES if equals else IGNORED)
