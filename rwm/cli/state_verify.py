"""``rwm state verify``: prove that what a state names is in the bucket, and that its content is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.last_clean import resolve_state
from rwm.cli.restic_check import check_repositories, count_repositories_below
from rwm.cli.shared_options import LOCATION_OPTION
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import CheckFailed, IndexUnusable, PartlyDone, RwmError, UsageError
from rwm.location import Location
from rwm.model import Level, StateInfo, Verification

if TYPE_CHECKING:
    from rwm.index import Index, ListedVersions
    from rwm.restore import StatePart
    from rwm.verify import Kind, Problem, VerifyReport

_ALL = "100"
_STRUCTURE_ONLY = "0"
_BARE = {"--content": _ALL, "--restic": _STRUCTURE_ONLY}
_TEXTS: dict[Kind, str] = {
    "wrong": "wrong",
    "missing": "missing",
    "archived": "archived",
    "unchecked": "not checked",
}
_MAX_UNPROVED = 5  # named in a note


class _Command(click.Command):
    """A command whose options of :data:`_BARE` have a value only after an equals sign, as in ``--content=10``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare option its value before click would take the next word for it."""
        end = args.index("--") if "--" in args else len(args)
        options = [f"{word}={_BARE[word]}" if word in _BARE else word for word in args[:end]]
        return super().parse_args(ctx, options + args[end:])


class _PercentOption(click.Option):
    """An option with an optional percentage, shown as ``--content[=PCT]``."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option as it is typed, and its help."""
        return f"{self.opts[0]}[=PCT]", self.help or ""


@click.command(cls=_Command)
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@click.option(
    "--content",
    cls=_PercentOption,
    help="Read the files that restic names by their SHA-256, and compare; with PCT only a random part of the packs.",
)
@click.option(
    "--restic",
    cls=_PercentOption,
    help="Run `restic check` on a mount of STATE, with the configured password; with PCT it reads a part of the packs.",
)
@click.option("--again", is_flag=True, help="With --content: also read what was read before.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="With --content=PCT: repeat the choice of packs."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 32),
    metavar="N",
    help="Use N connections (default: 8 to read; to list, chosen by the measured speed of the server).",
)
@LOCATION_OPTION
@pass_app
def verify(
    app: App,
    state: str,
    content: str | None,
    restic: str | None,
    again: bool,
    seed: int | None,
    concurrency: int | None,
    location: Location | None,
) -> None:
    """Verify that STATE is whole.

    With -b BUCKET/PREFIX only what it has below the prefix is verified.

    By default one listing shows whether each of its versions is in the bucket, with its size, ETag and time. --content
    also reads them and needs no password. What was read is noted in the index, for all states that have the version,
    and not read again: an interrupted run continues where it was. Exit code 4 if a version is wrong or missing, 3 if
    some could not be checked.
    """
    from rwm.restore import StatePart
    from rwm.verify import parse_percent

    if content and restic:
        raise UsageError("--content and --restic are two ways to verify", hint="run the command once for each")
    if (again or seed is not None) and not content:
        raise UsageError("--again and --seed go together with --content")
    info = resolve_state(app, state, location)
    part = StatePart(app.readonly_index, info, location.prefix if location else "")
    console.warn_if_untrusted(info.id, info.bucket, app.readonly_index.trust(info))
    if restic:
        percent = None if restic == _STRUCTURE_ONLY else parse_percent(restic)
        _verify_with_restic(app, part, percent)
        return
    percent = parse_percent(content) if content else None
    _verify(app, part, percent, again=again, seed=seed, concurrency=concurrency)


def _verify(
    app: App, part: StatePart, percent: float | None, *, again: bool, seed: int | None, concurrency: int | None
) -> None:
    """Verify by a listing, and with ``percent`` by the content of that part."""
    from rwm import verify as service

    index, problems = app.index, _Problems(app)
    index.check_ids([part.info])
    level: Level = "structure" if percent is None else "content"
    report = _begin_report(app, part, level, problems)
    with console.show_progress(f"listing {part.location}") as progress:
        listed = service.list_state(app.s3, index, part.info, part.prefix, concurrency=concurrency, progress=progress)
    with closing(listed):
        service.verify_structure(listed, report)
        summaries: dict[Level, Verification] = {"structure": report.structure()}
        if percent is not None:
            if percent < 100 and seed is None:
                import secrets  # here, because it imports a lot

                seed = secrets.randbits(32)
            _verify_content(app, listed, report, percent, again=again, seed=seed, connections=concurrency)
            summaries["content"] = report.content()
    if app.json:
        console.print_json(_report_json(report, problems.found, seed))
    else:
        _print_report(report, problems.unproved)
    _finish(index, report, summaries)


def _begin_report(app: App, part: StatePart, level: Level, problems: _Problems) -> VerifyReport:
    from rwm.verify import VerifiedPart, VerifyReport, describe_verifier

    verified = VerifiedPart(part.prefix, part.objects, part.bytes)
    started, by = app.s3.server_time(part.info.bucket), describe_verifier(app.s3)
    return VerifyReport(part.info, level, started, problems.add, only=verified, by=by)


def _verify_content(
    app: App,
    listed: ListedVersions,
    report: VerifyReport,
    percent: float,
    *,
    again: bool,
    seed: int | None,
    connections: int | None,
) -> None:
    from rwm import verify as service

    run = service.ContentRun(again=again, connections=connections or service.CONNECTIONS)
    if percent < 100 and seed is not None:
        run = replace(run, sample=service.draw_sample(seed, percent, listed.read(), again=again))
        console.print_note(f"reading about {percent:g} % of the bytes in packs, chosen with --seed {seed}")
    plan = service.plan_content(listed, run)
    report.begin_content()
    with console.show_progress(f"reading {console.format_size(plan.bytes)}", plan.objects) as progress:
        unread = service.read_content(app.s3, app.index, listed, report, run, progress)
    service.report_content(listed, report, run, unread)


def _verify_with_restic(app: App, part: StatePart, percent: float | None) -> None:
    """Verify with ``restic check`` on a mount."""
    from rwm import verify as service

    info = part.info
    repositories, _ = count_repositories_below(app, info, part.prefix)
    if not repositories:
        raise RwmError(f"{_describe_part(info, part.prefix)} has no restic repository: nothing was checked")
    console.warn_if_archived(info.id, app.readonly_index.storage_classes.of_state(info, part.prefix))
    problems = _Problems(app)
    report = _begin_report(app, part, "restic", problems)

    checks = check_repositories(app, info, repositories, percent)
    service.report_checks(checks, report)
    if app.json:
        console.print_json(_report_json(report, problems.found))
    else:
        noun = "repository" if len(checks) == 1 else "repositories"
        click.echo(f"restic check passes: {report.checked} of {len(checks)} {noun}")
    is_known = report.faults or not report.unknown
    _finish(app.index, report, {"restic": report.restic()} if is_known else {})


def _finish(index: Index, report: VerifyReport, summaries: Mapping[Level, Verification]) -> None:
    """Record the summaries of a whole state, and raise what makes the exit code."""
    try:
        for level, summary in summaries.items() if report.is_of_whole_state else ():
            index.verifications.record(report.info.id, level, summary)
    except IndexUnusable as error:
        if not report.faults:
            raise
        console.warn(f"the result is not recorded: {error.message}")
    short = _describe_part(report.info, report.part.prefix)
    text = f"{short}: {_describe_counts(report)}"
    if report.faults:
        hint = "versions that were pruned are missing; `rwm state list` shows other states"
        raise CheckFailed(text, hint=hint if report.counts["missing"] else "")
    if report.unknown:
        raise PartlyDone(text, hint="run it again later: what was read is not read again")
    if report.level == "content" and not report.provable_bytes:
        raise PartlyDone(f"{short} has no file that restic names by its content: nothing is proved")


def _describe_part(info: StateInfo, prefix: str) -> str:
    """``state 0123456789ab``, with the prefix if only a part is meant."""
    short = f"state {info.short}"
    return short if prefix == info.prefix else f"{short} below {Location(info.bucket, prefix)}"


def _describe_counts(report: VerifyReport) -> str:
    """``of 12 versions, 1 is wrong, 2 are missing``."""
    if report.level == "restic":
        return "restic check does not pass" if report.faults else "restic check could not be completed"
    counts = [
        f"{report.counts[kind]} {'is' if report.counts[kind] == 1 else 'are'} {text}"
        for kind, text in _TEXTS.items()
        if report.counts[kind]
    ]
    return f"of {console.format_count(report.part.objects, 'version')}, {', '.join(counts)}"


class _Problems:
    """Prints problems as they come; for JSON keeps them."""

    def __init__(self, app: App) -> None:
        self._is_json = app.json
        self.found: list[Problem] = []
        self.unproved: list[str] = []

    def add(self, problem: Problem) -> None:
        """Print or keep a problem; of files without a hash in the name the first few are kept, for a note."""
        if self._is_json:
            self.found.append(problem)
        elif problem.kind == "unproved":
            self.unproved += [problem.key] if len(self.unproved) < _MAX_UNPROVED else []
        else:
            subject = f" {problem.key}" if problem.key else ""
            version = f" (version {problem.version_id})" if problem.version_id else ""
            why = f": {problem.why}" if problem.why else ""
            console.print_lines([console.escape(f"{_TEXTS[problem.kind]}{subject}{version}{why}")])


def _report_json(report: VerifyReport, problems: Sequence[Problem], seed: int | None = None) -> dict[str, Any]:
    def of(kind: str) -> list[Problem]:
        return [problem for problem in problems if problem.kind == kind]

    info = report.info
    return {
        "id": info.id,
        "bucket": info.bucket,
        "prefix": report.part.prefix,
        "level": report.level,
        "checked": report.checked,
        "bytes": report.bytes,
        "wrong": [_problem_json(problem) for problem in of("wrong")],
        "missing": [problem.key for problem in of("missing")],
        "archived": [problem.key for problem in of("archived")],
        "unchecked": [_problem_json(problem) for problem in of("unchecked")],
        "unproved": [problem.key for problem in of("unproved")],
        "proved": {"objects": report.proved, "bytes": report.proved_bytes, "of_bytes": report.provable_bytes},
        "seed": seed,
    }


def _problem_json(problem: Problem) -> dict[str, str]:
    return {"key": problem.key, "version_id": problem.version_id, "why": problem.why}


def _print_report(report: VerifyReport, unproved: Sequence[str]) -> None:
    """What was checked, and what a verification of content cannot prove."""
    size = console.format_size(report.bytes)
    if report.level == "structure":
        click.echo(f"in the bucket as the state has it: {console.format_count(report.checked, 'version')}, {size}")
    else:
        click.echo(f"read: {console.format_count(report.checked, 'version')}, {size}")
        click.echo(
            f"proved by SHA-256, now or before: {console.format_count(report.proved, 'version')}, "
            f"{console.percent(report.content())} of {console.format_size(report.provable_bytes)}"
        )
    if count := report.counts["unproved"]:
        names = ", ".join(map(console.shorten, unproved)) + (", …" if count > len(unproved) else "")
        console.print_note(f"without a hash in the name, so the content cannot be proved: {names} ({count})")
