"""``rwm audit --html``: the page in a file or on stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rwm
from rwm import console
from rwm.cli.audit_report import describe_limits, next_steps, verdict_sentence
from rwm.errors import RwmError, UsageError

if TYPE_CHECKING:
    from rwm.trust import AuditReport


def check_page_option(file: Path, *, prints: bool) -> None:
    """Refuse a file that cannot be written before anything is listed. ``prints``: stdout is for something else."""
    from rwm.page import check_page_file

    if str(file) != "-":
        check_page_file(file)
    elif prints:
        raise UsageError("--html -, and --json or --bisect, both write to stdout", hint="name a file for the page")


def output_page(report: AuditReport, file: Path) -> None:
    """Write the page."""
    from rwm.page import PageText, render_page, write_page

    invocation = console.current_invocation()
    limits = [console.complete_hints(line, invocation) for line in describe_limits(report)]
    text = PageText(verdict_sentence(report), limits, next_steps(report, invocation))
    page = render_page(report, text, rwm.__version__)
    if str(file) != "-":
        write_page(file, page)
        console.print_note(f"page written to {console.escape(str(file))}")
        return
    try:
        with console.strict_output():
            sys.stdout.buffer.write(page.encode())
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RwmError(f"standard output: {error.strerror}", hint="the page is incomplete") from error
