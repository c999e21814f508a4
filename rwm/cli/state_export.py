"""``rwm state export``: write a state to a file."""

from __future__ import annotations

from pathlib import Path

import click

from rwm import console
from rwm.cli.last_clean import resolve_state
from rwm.cli.new_file import open_new
from rwm.cli.shared_options import LOCATION_OPTION
from rwm.cli.state import describe_contents
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import UsageError
from rwm.location import Location


@click.command("export")
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), help="The format (default: by the name of FILE)."
)
@LOCATION_OPTION
@pass_app
def export_(app: App, state: str, file: Path, form: str | None, location: Location | None) -> None:
    """Write STATE to FILE for use by other tools.

    The name selects the format: .jsonl or .csv, with .gz compressed. - is standard output.
    """
    from rwm.states import format_from_name, write_state

    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="name a file that does not exist yet")
    by_name = format_from_name(file.name)
    if by_name is None and form is None:
        if str(file) != "-":
            raise UsageError(f"{file}: the format is unknown", hint="end the name in .jsonl or .csv, or use --format")
        form = "jsonl"
    info = resolve_state(app, state, location)
    form_by_name, is_compressed = by_name or (form, file.name.endswith(".gz"))
    with open_new(file) as out:
        write_state(info, app.readonly_index.entries(info), out, form or form_by_name, is_compressed=is_compressed)  # type: ignore[arg-type]
    if str(file) == "-":
        return
    if app.json:
        console.print_json({**console.state_json(info), "file": str(file)})
    else:
        short = info.short
        click.echo(console.escape(f"state {short} of {info.location}: {describe_contents(info)}, in {file}"))
