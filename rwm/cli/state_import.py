"""``rwm state import``: record states from local files."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from rwm import console
from rwm.cli.state import describe_contents, describe_state
from rwm.console import App, common_options, pass_app
from rwm.errors import BadState, PartlyDone

if TYPE_CHECKING:
    from rwm.states import ImportSource


@click.command("import")
@common_options
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@pass_app
def import_(app: App, files: Sequence[Path]) -> None:
    """Record the states in FILEs.

    A FILE is a state file of RWM, also a delta whose base is recorded, or one of the original tool. The bucket is not
    accessed: `rwm state sync BUCKET` compares the states with its history.
    """
    from rwm.states import StateImporter

    recorded, failures = [], []
    sources = [_local_source(path) for path in files]
    by_id = {source.name.id: source for source in sources if source.name}
    with StateImporter(app.index, find=by_id.get) as importer:
        for path, source in zip(files, sources, strict=True):
            try:
                info, is_new = importer.import_state(source)
            except BadState as error:
                failures.append((path, error))
                continue
            app.index.ledger.stop_ignoring(info.bucket, info.id)
            recorded.append((path, info, is_new))
    if app.json:
        states = [{**console.state_json(info), "file": str(path), "new": is_new} for path, info, is_new in recorded]
        console.print_json(
            {"states": states, "failures": [{"file": str(path), "why": error.message} for path, error in failures]}
        )
    else:
        for _, info, is_new in recorded:
            suffix = "" if is_new else " (already recorded)"
            click.echo(console.escape(f"{describe_state(info)}: {describe_contents(info)}{suffix}"))
    _raise_failures(failures, some_recorded=bool(recorded))


def _local_source(path: Path) -> ImportSource:
    from rwm.layout import STATES_PREFIX
    from rwm.statefile import parse_file_key
    from rwm.states import ImportSource

    @contextmanager
    def open_content() -> Iterator[IO[bytes]]:
        """The open file. Raises BadState for one that cannot be read."""
        with ExitStack() as stack:
            try:
                if not stat.S_ISREG(path.stat().st_mode):  # it may be read twice, which a pipe does not allow
                    raise BadState("it is a directory" if path.is_dir() else "it is not a regular file")
                file = stack.enter_context(path.open("rb"))
                file.peek(1)  # raises OSError if the file cannot be read
            except OSError as error:
                raise BadState(error.strerror or str(error)) from error
            yield file

    return ImportSource(str(path), open_content, parse_file_key(STATES_PREFIX + path.name), 0, is_stored=False)


def _raise_failures(failures: Sequence[tuple[Path, BadState]], *, some_recorded: bool) -> None:
    if not failures:
        return
    if not some_recorded and len(failures) == 1:
        path, error = failures[0]
        raise BadState(f"{path}: {error.message}", hint="nothing was recorded") from error
    for path, error in failures:
        console.warn(f"{path}: {error.message}")
    text = f"{console.format_count(len(failures), 'file')} {'was' if len(failures) == 1 else 'were'} not imported"
    raise PartlyDone(text) if some_recorded else BadState(text, hint="nothing was recorded")
