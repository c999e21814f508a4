"""Hooks: the shell commands that run before and after a backup."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from rwm import process, restic
from rwm.errors import RwmError


def run_hooks(
    kind: str,
    commands: Sequence[str],
    variables: Mapping[str, str],
    notify: Callable[[str], None],
    on_line: restic.OnLine | None,
    *,
    forward_signals: bool = True,
) -> str:
    """Run the commands in order until one fails. Returns which one failed and how, empty if none did.

    ``kind`` is ``prerun`` or ``postrun``; ``variables`` are added to the environment. Hooks are named by their
    number only: a command line may hold secrets, and messages end up in logs and mails.
    """
    environment = {**os.environ, **variables}
    for number, command in enumerate(commands, 1):
        hook = f"{kind} {number} of {len(commands)}"
        notify(hook)
        try:
            done = process.run_shell(command, env=environment, on_line=on_line, forward_signals=forward_signals)
        except RwmError as error:
            return f"{hook} failed: {error.message}"
        if done.returncode:
            return f"{hook} failed with exit code {done.returncode}"
    return ""
