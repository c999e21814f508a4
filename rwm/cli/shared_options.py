"""Arguments and options that several commands take, spelled and explained alike."""

from __future__ import annotations

import click

from rwm.console import LOCATION
from rwm.model import LOCK_MODES

LOCATION_ARGUMENT = click.argument("location", metavar="BUCKET[/PREFIX]", type=LOCATION)
LOCATION_OPTION = click.option(
    "-b",
    "--bucket",
    "location",
    metavar="BUCKET[/PREFIX]",
    type=LOCATION,
    help="The bucket, or the prefix in it, of `latest` or of a time.",
)
YES_OPTION = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
MODE_OPTION = click.option(
    "--mode",
    type=click.Choice(LOCK_MODES),
    help="governance: whoever may bypass it can remove the lock; compliance: nobody can (default: that of the "
    "configuration, else of the bucket, else governance).",
)
