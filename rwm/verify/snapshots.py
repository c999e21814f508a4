"""Read the snapshots of a state with ``restic snapshots`` on a mount."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rwm import process
from rwm.config import Config
from rwm.errors import RwmError
from rwm.model import StateInfo
from rwm.restic import Snapshot, local_environment, opens_no_key, parse_snapshots
from rwm.verify.mounted import mounted_state

_MAX_ARGUMENTS = 500
"""Snapshots that are named one by one; of more, restic reads all."""

_NAME = re.compile("[0-9a-f]{64}")


@dataclass
class ReadSnapshots:
    """The snapshots that were read, by id; ``error`` says why the rest could not be read, and is empty otherwise."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    error: str = ""
    is_wrong_password: bool = False


def is_snapshot_name(name: str) -> bool:
    """Whether restic gives such names to snapshots: others are foreign, and may be meant as its options."""
    return _NAME.fullmatch(name) is not None


def read_snapshots(config: Config, info: StateInfo, wanted: Mapping[str, Sequence[str]]) -> dict[str, ReadSnapshots]:
    """Mount the state, and read snapshots: ``wanted`` are their ids by the prefix of their repository.

    Raises CommandMissing, ConfigError without a password, and MountError.
    """
    restic, environment = process.find_program("restic"), local_environment(config)
    found = {}
    with mounted_state(config, info) as mount:
        for root, ids in wanted.items():
            repository = mount.path / root[len(info.prefix) :]
            command = [restic, "-r", str(repository), f"--cache-dir={mount.cache}", "snapshots", "--json"]
            named = [name for name in ids if is_snapshot_name(name)] if len(ids) <= _MAX_ARGUMENTS else []
            done = process.run([*command, "--", *named], env=environment)
            found[root] = _interpret(done)
    return found


def _interpret(done: process.Completed) -> ReadSnapshots:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        why = lines[-1] if lines else f"restic ended with exit code {done.returncode}"
        return ReadSnapshots(error=why, is_wrong_password=opens_no_key(done))
    try:
        return ReadSnapshots({one.id: one for one in parse_snapshots(done.stdout)})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return ReadSnapshots(error=f"restic's list of snapshots is malformed: {error}")


def require_password(found: Mapping[str, ReadSnapshots], info: StateInfo) -> None:
    """Raise RwmError if the configured password opens none of the repositories."""
    if found and all(one.is_wrong_password for one in found.values()):
        raise RwmError(
            f"state {info.short}: the configured password opens no key of the repository",
            hint="a state has the passwords of its time: configure the one that was valid then",
        )
