"""``rwm prune --as-lifecycle``: the nearest rule of the server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from rwm import console
from rwm.console import App
from rwm.location import Location
from rwm.times import SECOND

if TYPE_CHECKING:
    from rwm.trust import KeepPolicy


def print_lifecycle(app: App, location: Location, rules: KeepPolicy, keep_state: tuple[str, ...], min_age: int) -> None:
    """Print the lifecycle rule on stdout, and in words on stderr what it cannot express. Nothing is applied."""
    from rwm.prune import CANNOT, lifecycle_rule
    from rwm.retention import select_kept_states

    kept = select_kept_states(app.readonly_index, location, rules, keep_state)
    now = time.time_ns() // 1_000_000 // SECOND * SECOND
    oldest = min((info.captured_at for info in kept), default=now)
    console.print_json(lifecycle_rule(location, oldest, now, min_age))
    click.echo("This rule was not applied. What it cannot express, which is why rwm prune is exact:", err=True)
    for line in CANNOT:
        click.echo(f"- {line}", err=True)
