"""Which entries of ``backups`` a command line selects. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.config import BackupConfig, Config
from rwm.errors import UsageError


def select_backups(config: Config, names: Sequence[str], *, all_backups: bool) -> dict[str, BackupConfig]:
    """The entries to run, in the order of ``names``, or all in the order of the file.

    Raises UsageError for an unknown name, for names together with ``all_backups``, and for neither.
    """
    if all_backups == bool(names):
        raise UsageError("name the backups to run, or use --all", hint=_known(config))
    unknown = [name for name in names if name not in config.backups]
    if unknown:
        raise UsageError(f"unknown backup: {', '.join(unknown)} is not in {config.path}", hint=_known(config))
    selected = {name: config.backups[name] for name in (config.backups if all_backups else names)}
    if not selected:
        raise UsageError(f"the configuration {config.path} has no backups", hint="add entries under `backups:`")
    return selected


def _known(config: Config) -> str:
    return f"configured backups: {', '.join(config.backups) or 'none'}"
