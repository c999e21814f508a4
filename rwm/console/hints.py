"""Commands in what is printed, made such that they can be typed as they are. Pure.

Rooms write a command to type between backticks, with words quoted by :func:`rwm.shell.quote`: ``run `rwm audit
bucket1```. They do not know how the program was called. Here the options that the next command needs are inserted.
A command that is only mentioned, or is for another computer, has no backticks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from rwm.shell import quote

_COMMAND = re.compile(r"(rwmfs|rwm) (?=([a-z]+))")
_WITHOUT_CONFIG = {"completion", "demo", "umount", "version"}


class Invocation(NamedTuple):
    """How the program was called: ``config`` is the file that ``--config`` or the environment names, or empty."""

    config: str = ""

    @classmethod
    def of(cls, config_path: str | None, environment: Mapping[str, str]) -> Invocation:
        """The invocation with this value of ``--config``. A variable may be set for the present command alone."""
        return cls(config_path or environment.get("RWM_CONFIG", ""))


def complete_hints(text: str, invocation: Invocation) -> str:
    """The text with the commands between backticks completed."""
    return re.sub(r"(?<=`)rwm[^`]*(?=`)", lambda match: complete_command(match[0], invocation), text)


def complete_command(command: str, invocation: Invocation) -> str:
    """The command with the configuration of this run: ``rwm audit b`` becomes ``rwm -c admin.conf audit b``."""
    match = _COMMAND.match(command)
    if match is None or match[2] in _WITHOUT_CONFIG or not invocation.config:
        return command
    return f"{match[1]} -c {quote(invocation.config)} {command[match.end() :]}"
