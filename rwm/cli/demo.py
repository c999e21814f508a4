"""``rwm demo``: a demonstration on an embedded S3 server."""

from __future__ import annotations

import click

from rwm.console import common_options


@click.command()
@common_options
@click.option("--keep", is_flag=True, help="Leave server and files in place afterwards, until Ctrl-C.")
@click.option("--size", default=240, show_default=True, metavar="MIB", help="How much data to back up.")
def demo(keep: bool, size: int) -> None:
    """Demonstrate RWM: back up, lose everything, mount, restore.

    Uses this machine only: it starts an S3 server in a temporary directory and removes both at the end.
    """
    from rwm.demo import MIB, run_demo

    run_demo(keep=keep, size=size * MIB)
