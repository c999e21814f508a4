"""``rwm state sync``: read the state files of a bucket, and compare states with the bucket's history."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.shared_options import LOCATION_ARGUMENT
from rwm.cli.state import describe_state
from rwm.console import App, common_options, pass_app
from rwm.errors import CheckFailed, IndexDamaged, IndexUnusable, PartlyDone
from rwm.location import Location
from rwm.shell import quote

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.states import ComparisonResult, KeptListing, StateFile, SyncResult

_SHOWN = 10
"""Files printed that are no states: whoever can write to the bucket can write any number of them."""

MAX_CONTRADICTIONS = 10
"""Contradictions printed for one state."""


@click.command()
@common_options
@LOCATION_ARGUMENT
@click.option("--again", is_flag=True, help="Also read forgotten states and rejected files, and compare all states.")
@pass_app
def sync(app: App, location: Location, again: bool) -> None:
    """Fetch states from a bucket and compare them with its history.

    With a prefix, only what is below it is read. Only the first version of a state file counts. A damaged index is
    moved aside and rebuilt. Exit code 4 if a new file is not a state or a new state is contradicted, 3 if files could
    not be read.
    """
    file_count, result, judged = run_sync(app, location, again=again)
    if app.json:
        console.print_json(_result_json(location, file_count, result, judged))
    else:
        _print_result(location, file_count, result, verbose=app.verbose)
        _print_verdicts(judged, verbose=app.verbose)
    _print_notes(app.index, location, judged)
    _raise_problems(location, result, judged)


def run_sync(app: App, location: Location, *, again: bool = False) -> tuple[int, SyncResult, list[ComparisonResult]]:
    """The number of state files, the result for new ones, and that of the comparison with the history."""
    files, result = fetch_states(app, location, again=again)
    judged = compare_states(app, location, files, always=again)
    return len({file.key for file in files}), result, judged


def fetch_states(app: App, location: Location, *, again: bool = False) -> tuple[list[StateFile], SyncResult]:
    """All state files, and the result for new ones."""
    from rwm.s3.listing import check_location
    from rwm.states import list_state_files, new_state_files, sync_states

    check_location(app.s3, location)
    with console.show_progress(f"listing state files of {location}"):
        files = list_state_files(app.s3, location, _known_prefixes(app, location.bucket))
    index = _usable_index(app)
    if again:
        index.ledger.reset_trust(location)
    new = new_state_files(index, location, files)
    with console.show_progress("reading state files", len(new)) as progress:
        return files, sync_states(app.s3, index, location, files, new, progress)


def compare_states(
    app: App,
    location: Location,
    files: Sequence[StateFile],
    *,
    always: bool = False,
    kept: KeptListing | None = None,
) -> list[ComparisonResult]:
    """Compare states with the bucket's history, in a listing of its own or in one that was kept."""
    from rwm.states import compare_with_history

    with console.show_progress(f"comparing with the history of {location}") as progress:
        return compare_with_history(app.s3, app.index, location, files, progress, always=always, kept=kept)


def _known_prefixes(app: App, bucket: str) -> list[str]:
    """Prefixes whose state files are read even if a walk of the bucket does not find them."""
    from rwm.storage import granted_prefixes

    recorded: list[str] = []
    with suppress(IndexUnusable):  # replaced or reported when the listing has succeeded
        recorded = [location.prefix for location in app.readonly_index.locations(bucket)]
    app.close_index()
    return [*granted_prefixes(app.s3, bucket), *recorded]


def _usable_index(app: App) -> Index:
    """The index, or a new one if it is damaged; the damaged file is moved aside."""
    from rwm.index import move_aside

    try:
        app.index.check()
    except IndexDamaged as error:
        app.close_index()
        aside = move_aside(app.config.index_path)
        console.warn(error.message)
        console.print_note(
            f"the damaged index was moved to {aside}; a new one is built from the bucket",
            "  sync every other bucket that was in it, too",
        )
    return app.index


def _result_json(
    location: Location, file_count: int, result: SyncResult, judged: Sequence[ComparisonResult]
) -> dict[str, Any]:
    return {
        "bucket": location.bucket,
        "prefix": location.prefix,
        "files": file_count,
        "recorded": [info.id for info in result.recorded],
        "rejected": [file._asdict() for file in result.rejected],
        "unread": [file._asdict() for file in result.unread],
        "compared": [
            {
                **console.state_json(one.info),
                "trust": one.verdict,
                "entries": {"verified": one.verified, "contradicted": one.contradicted, "unknown": one.unknown},
                "doubt": one.doubt or None,
                "contradictions": [contradiction._asdict() for contradiction in one.contradictions],
            }
            for one in judged
        ],
    }


def _print_result(location: Location, file_count: int, result: SyncResult, *, verbose: bool) -> None:
    files = console.format_count(file_count, "state file")
    click.echo(console.escape(f"{location}: {files}, {console.format_count(len(result.recorded), 'new state')}"))
    for verb, problems in (("rejected", result.rejected), ("could not be read:", result.unread)):
        for file in problems if verbose else problems[:_SHOWN]:
            click.echo(f"{verb} {console.shorten(file.key)} (version {file.version_id}): {console.escape(file.why)}")
        if not verbose and len(problems) > _SHOWN:
            click.echo(f"… and {len(problems) - _SHOWN} more; -v prints all")


def _print_verdicts(judged: Sequence[ComparisonResult], *, verbose: bool) -> None:
    """A line for each state that is not verified (with ``verbose`` for each state), and a line with counts."""
    for one in judged:
        if verbose or one.verdict != "verified":
            _print_verdict(one)
    if judged:
        verdicts = [one.verdict for one in judged]
        counts = ", ".join(
            f"{verdicts.count(verdict)} {verdict}"
            for verdict in ("verified", "unknown", "contradicted")
            if verdict in verdicts
        )
        click.echo(f"compared {console.format_count(len(judged), 'state')} with the bucket's history: {counts}")


def _print_verdict(one: ComparisonResult) -> None:
    detail = ""
    if one.contradicted:
        detail = f": {console.format_count(one.contradicted, 'difference')}"
    elif one.doubt:
        detail = f": {one.doubt}"
    elif one.unknown:
        versions = console.format_count(one.info.objects, "version")
        detail = f": {one.unknown} of {versions} are no longer in the bucket"
    click.echo(console.escape(f"{describe_state(one.info)}: {one.verdict}{detail}"))
    for key, version, why in one.contradictions[:MAX_CONTRADICTIONS]:
        subject = f"{key} version {version}: " if key else ""
        click.echo(console.escape(f"  {subject}{why}"))
    if one.contradicted > MAX_CONTRADICTIONS:
        click.echo(f"  and {one.contradicted - min(MAX_CONTRADICTIONS, len(one.contradictions))} more")


def _print_notes(index: Index, location: Location, judged: Sequence[ComparisonResult]) -> None:
    """Notes on states that were contradicted in an earlier run, and on a bucket without states."""
    recorded, judged_now = index.recorded(location), {one.info.id for one in judged}
    earlier = sum(
        state.trust == "contradicted" and state.info.id not in judged_now and location.covers(state.info.location)
        for state in recorded
    )
    if earlier:
        verb = "was" if earlier == 1 else "were"
        console.print_note(
            f"{console.format_count(earlier, 'state')} of {location} {verb} contradicted in an earlier sync"
        )
    if not recorded:
        console.print_note(
            f"no state of {location.described} is recorded",
            f"  `rwm state capture {quote(location)} --at TIME` records one of a past time, from the history",
        )


def _raise_problems(location: Location, result: SyncResult, judged: Sequence[ComparisonResult]) -> None:
    problems = []
    if contradicted := sum(one.verdict == "contradicted" for one in judged):
        verb = "is" if contradicted == 1 else "are"
        problems.append(f"{console.format_count(contradicted, 'state')} that {verb} contradicted by its history")
    if rejected := len(result.rejected):
        verb = "is not a state" if rejected == 1 else "are not states"
        problems.append(f"{console.format_count(rejected, 'file')} that {verb} of it")
    if problems:
        raise CheckFailed(
            f"{location.described} has {' and '.join(problems)}",
            hint="an account with write access stored them, or something is broken; "
            "contradicted states are used only if named by id",
        )
    if result.unread:
        raise PartlyDone(
            f"{console.format_count(len(result.unread), 'state file')} of {location.described} could not be read",
            hint="the other states are recorded; the next sync tries again",
        )
