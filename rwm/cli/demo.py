"""``rwm demo``: the whole story, on an S3 server of its own."""

from __future__ import annotations

import click

from rwm.console import common


@click.command()
@common
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, and say how to play with it.")
@click.option("--size", default=240, show_default=True, metavar="MIB", help="How much data to back up.")
def demo(keep: bool, size: int) -> None:
    """Show it: back up, lose everything, mount the past, restore.

    Needs nothing but this machine: an S3 server is started in a temporary directory, and removed in the end.
    """
    from rwm.demo import MIB, tell

    tell(keep=keep, size=size * MIB)
