"""``rwm state sync|export|import|forget``: states as files, and out of the index again."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.state import BUCKET_OPTION, contents
from rwm.console import BUCKET, STATE, App, common, pass_app
from rwm.errors import BadState, CheckFailed, IndexDamaged, PartlyDone, Refused, RwmError, UsageError
from rwm.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwm.index import Index
    from rwm.states import ComparisonResult, ImportSource, SyncResult

SHOWN = 10  # contradictions of one state, states in one question


@click.command()
@common
@click.argument("bucket", type=BUCKET)
@click.option("--again", is_flag=True, help="Everything once more: forgotten states, rejected files, all comparisons.")
@pass_app
def sync(app: App, bucket: str, again: bool) -> None:
    """Fetch the states that BUCKET holds, and compare them with the bucket's own history.

    Of each state file the first version counts. A damaged index is moved away and made anew. Exit code 4 when something
    new is no state or contradicted, 3 when files could not be read.
    """
    from rwm.states import compare_with_history, list_state_files, new_state_files, sync_states

    with console.progress(f"listing state files of {bucket}"):
        files = list_state_files(app.s3, bucket)
    index = _whole_index(app)
    if again:
        index.ledger.forget_verdicts(bucket)
    new = new_state_files(index, bucket, files)
    with console.progress("reading state files", len(new)) as progress:
        came = sync_states(app.s3, index, bucket, files, new, progress)
    with console.progress(f"comparing with the history of {bucket}") as progress:
        judged = compare_with_history(app.s3, index, bucket, files, progress)
    if app.json:
        console.document(_sync_json(bucket, len({file.key for file in files}), came, judged))
    else:
        click.echo(console.escape(_headline(bucket, len({file.key for file in files}), came)))
        _show_files(came)
        _show_verdicts(judged, everything=app.verbose)
    _say_what_is_known(index, bucket, judged)
    _complain(bucket, came, judged)


def _whole_index(app: App) -> Index:
    """The index; one that is damaged is moved away, and a new one is made."""
    from rwm.index import set_aside

    try:
        app.index.check()
    except IndexDamaged as error:
        app.reopen_index()
        aside = set_aside(app.config.index_path)
        console.warn(error.message)
        console.note(
            f"the damaged index is now {aside}; a new one is made from the bucket",
            "  other buckets that were in it need a sync of their own",
        )
    return app.index


def _sync_json(bucket: str, files: int, came: SyncResult, judged: Sequence[ComparisonResult]) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "files": files,
        "recorded": [info.id for info in came.recorded],
        "rejected": [file._asdict() for file in came.rejected],
        "unread": [file._asdict() for file in came.unread],
        "compared": [
            {
                **console.state_json(one.info),
                "trust": one.verdict,
                "entries": {"verified": one.verified, "contradicted": one.contradicted, "unknown": one.unknown},
                "contradictions": [fault._asdict() for fault in one.contradictions],
            }
            for one in judged
        ],
    }


def _headline(bucket: str, files: int, came: SyncResult) -> str:
    return f"{bucket}: {console.count(files, 'state file')}, {console.count(len(came.recorded), 'new state')}"


def _show_files(came: SyncResult) -> None:
    for word, found in (("rejected", came.rejected), ("could not be read:", came.unread)):
        for file in found:
            click.echo(console.escape(f"{word} {file.key} (version {file.version_id}): {file.why}"))


def _show_verdicts(judged: Sequence[ComparisonResult], *, everything: bool) -> None:
    """One line for all that are verified, unless everything is asked for; the others one by one."""
    for one in judged:
        if everything or one.verdict != "verified":
            _show_verdict(one)
    if judged:
        verdicts = [one.verdict for one in judged]
        words = ", ".join(
            f"{verdicts.count(word)} {word}" for word in ("verified", "unknown", "contradicted") if word in verdicts
        )
        click.echo(f"compared {console.count(len(judged), 'state')} with the bucket's history: {words}")


def _show_verdict(one: ComparisonResult) -> None:
    said = ""
    if one.contradicted:
        said = f": {console.count(one.contradicted, 'false claim')}"
    elif one.unknown:
        said = f": the bucket has not got {one.unknown} of {console.count(one.info.objects, 'version')}"
    click.echo(f"state {one.info.id[: console.SHORT_ID]} of {iso(one.info.captured_at)}: {one.verdict}{said}")
    for key, version, why in one.contradictions[:SHOWN]:
        subject = f"{key} version {version}: " if key else ""
        click.echo(console.escape(f"  {subject}{why}"))
    if one.contradicted > SHOWN:
        click.echo(f"  and {one.contradicted - min(SHOWN, len(one.contradictions))} more")


def _say_what_is_known(index: Index, bucket: str, judged: Sequence[ComparisonResult]) -> None:
    """What this run did not find, and what there is to do where there is nothing."""
    recorded, new = index.recorded(bucket), {one.info.id for one in judged}
    known = sum(state.trust == "contradicted" and state.info.id not in new for state in recorded)
    if known:
        verb = "was" if known == 1 else "were"
        console.note(f"{console.count(known, 'state')} of {bucket} {verb} found to be contradicted before")
    if not recorded:
        console.note(
            f"no state of bucket {bucket} is known",
            f"  `rwm state capture {bucket} --at TIME` makes one of any past time, from the bucket's own history",
        )


def _complain(bucket: str, came: SyncResult, judged: Sequence[ComparisonResult]) -> None:
    contradicted = sum(one.verdict == "contradicted" for one in judged)
    faults = []
    if contradicted:
        faults.append(f"{console.count(contradicted, 'state')} that the history contradicts")
    if came.rejected:
        verb = "is no state" if len(came.rejected) == 1 else "are no states"
        faults.append(f"{console.count(len(came.rejected), 'file')} that {verb} of it")
    if faults:
        raise CheckFailed(
            f"bucket {bucket} has {' and '.join(faults)}",
            hint="somebody who may write to the bucket put them there, or something is broken: "
            "contradicted states are not used unless they are named by id",
        )
    if came.unread:
        raise PartlyDone(
            f"{console.count(len(came.unread), 'state file')} of bucket {bucket} could not be read",
            hint="the other states are recorded; the next sync tries again",
        )


@click.command("export")
@common
@click.argument("state", metavar="STATE", type=STATE)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), help="Where the name of FILE does not say it.")
@BUCKET_OPTION
@pass_app
def export_(app: App, state: str, file: Path, form: str | None, bucket: str | None) -> None:
    """Write STATE to FILE, for tools of your own: .jsonl or .csv, with .gz compressed; - is standard output."""
    from rwm.states import format_from_name, write_state

    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="name a file that is not there yet")
    known = format_from_name(file.name)
    if known is None and form is None:
        if str(file) != "-":
            raise UsageError(
                f"{file}: the name does not say a format", hint="end it in .jsonl or .csv, or say --format"
            )
        form = "jsonl"
    info = app.index.resolve(state, bucket)
    chosen, is_compressed = known or (form, file.name.endswith(".gz"))
    with _new_file(file) as out:
        write_state(info, app.index.entries(info), out, form or chosen, is_compressed=is_compressed)  # type: ignore[arg-type]
    if str(file) == "-":
        return
    if app.json:
        console.document({**console.state_json(info), "file": str(file)})
    else:
        short = info.id[: console.SHORT_ID]
        click.echo(console.escape(f"state {short} of {info.bucket}: {contents(info)}, in {file}"))


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is not there yet, or standard output; nothing is left of a file that could not be finished."""
    if str(path) == "-":
        with _problems("standard output", "what was written is not the whole state"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} is there already", hint="name another file, or remove it") from error
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}", hint="name a file in a directory that you may write to") from error
    try:
        with (
            _problems(str(path), "make room, or name another place; nothing is left of the file"),
            os.fdopen(number, "wb") as file,
        ):
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _problems(where: str, hint: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RwmError(f"{where}: {error.strerror}", hint=hint) from error


@click.command("import")
@common
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@pass_app
def import_(app: App, files: Sequence[Path]) -> None:
    """Record the states in FILEs: state files of RWM (also deltas whose base is recorded), and of the original tool.

    Their buckets are asked nothing: `rwm state sync BUCKET` compares them with the history.
    """
    from rwm.states import StateImporter

    recorded, failures = [], []
    sources = [_local(path) for path in files]
    by_id = {source.name.id: source for source in sources if source.name}
    with StateImporter(app.index, find=by_id.get) as importer:
        for path, source in zip(files, sources, strict=True):
            try:
                info, is_new = importer.import_state(source)
            except BadState as error:
                failures.append((path, error))
                continue
            app.index.ledger.look_again(info.bucket, info.id)
            recorded.append((path, info, is_new))
    if app.json:
        found = [{**console.state_json(info), "file": str(path), "new": is_new} for path, info, is_new in recorded]
        console.document({"states": found, "failures": [{"file": str(path), "why": e.message} for path, e in failures]})
    else:
        for _, info, is_new in recorded:
            short = f"state {info.id[: console.SHORT_ID]} of {info.bucket} at {iso(info.captured_at)}: {contents(info)}"
            click.echo(console.escape(short + ("" if is_new else " (was recorded before)")))
    _report_failures(failures, bool(recorded))


def _local(path: Path) -> ImportSource:
    from rwm.statefile import STATES_PREFIX, parse_file_key
    from rwm.states import ImportSource

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        with ExitStack() as stack:
            try:
                if not stat.S_ISREG(path.stat().st_mode):  # it may be read twice
                    raise BadState("it is a directory" if path.is_dir() else "it is not a regular file")
                file = stack.enter_context(path.open("rb"))
                file.peek(1)
            except OSError as error:
                raise BadState(error.strerror or str(error)) from error
            yield file

    return ImportSource(str(path), content, parse_file_key(STATES_PREFIX + path.name), 0, is_stored=False)


def _report_failures(failures: Sequence[tuple[Path, BadState]], some: bool) -> None:
    if not failures:
        return
    if not some and len(failures) == 1:
        path, error = failures[0]
        raise BadState(f"{path}: {error.message}", hint="nothing is recorded") from error
    for path, error in failures:
        console.warn(f"{path}: {error.message}")
    text = f"{console.count(len(failures), 'file')} {'is' if len(failures) == 1 else 'are'} not imported"
    raise PartlyDone(text) if some else BadState(text, hint="nothing is recorded")


@click.command()
@common
@click.argument("states", metavar="STATE...", nargs=-1, required=True, type=STATE)
@BUCKET_OPTION
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def forget(app: App, states: Sequence[str], bucket: str | None, dry_run: bool, yes: bool) -> None:
    """Take STATEs out of the index. Their files and versions stay in the bucket.

    `rwm state sync --again` or `rwm state import` brings a forgotten state back.
    """
    chosen = list({info.id: info for info in (app.index.resolve(name, bucket) for name in states)}.values())
    if not dry_run:
        listed = ", ".join(f"{info.id[: console.SHORT_ID]} ({iso(info.captured_at)})" for info in chosen[:SHOWN])
        listed += f" and {len(chosen) - SHOWN} more" if len(chosen) > SHOWN else ""
        console.confirm(f"forget {listed}?", yes=yes)
        app.index.forget(chosen)
    if app.json:
        console.document({"forgotten": [] if dry_run else [i.id for i in chosen], "states": [i.id for i in chosen]})
        return
    for info in chosen:
        word = "would forget" if dry_run else "forgot"
        short = f"state {info.id[: console.SHORT_ID]} of {info.bucket} at {iso(info.captured_at)}"
        click.echo(console.escape(f"{word} {short}"))


COMMANDS = (export_, forget, import_, sync)
