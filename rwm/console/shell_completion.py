"""Shell completion: buckets and states as the index knows them. Whatever goes wrong, there is just nothing to offer.

Shells take what is offered apart at blanks, expand it, and print it: only names that are plain words are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from rwm.console import output
from rwm.console.options import common, current_app
from rwm.model import StateInfo
from rwm.times import iso

SHELLS = ("bash", "zsh", "fish")
_WORD = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


def _recorded(context: click.Context) -> list[StateInfo]:
    """All states in the index; none where it cannot be read."""
    try:
        from rwm.config import load
        from rwm.index import Index

        path = load(current_app(context).config_path).index_path  # without its warnings
        if not path.exists():  # completing a word makes no index
            return []
        with Index.open(path, readonly=True) as index:
            return [info for info in index.states() if _WORD.fullmatch(info.bucket)]
    except Exception:  # noqa: BLE001 - a shell that completes has no place for errors
        return []


class _Text(click.types.StringParamType):
    """Any text; subclasses say what to offer."""

    def offers(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Words with their explanations."""
        raise NotImplementedError

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin as what is typed."""
        offers = self.offers(_recorded(ctx), ctx)
        return [CompletionItem(word, help=text) for word, text in offers.items() if word.startswith(incomplete)]


class BucketName(_Text):
    """A bucket: those of recorded states are offered."""

    def offers(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Buckets by name."""
        names = sorted({info.bucket for info in states})
        return dict.fromkeys(names, "")


class StateName(_Text):
    """A state: short ids are offered, of the bucket if one is given, newest first."""

    def offers(self, states: Iterable[StateInfo], context: click.Context) -> dict[str, str]:
        """Short ids with bucket and time."""
        states = list(states)
        buckets = {info.bucket for info in states}
        # An option that has no value yet keeps click from telling arguments apart: they are left over.
        typed = (word for word in context.args if word in buckets)
        bucket = context.params.get("bucket") or next(typed, None)
        chosen = [info for info in states if bucket in (None, info.bucket)]
        offers = {info.id[: output.SHORT_ID]: f"{info.bucket} {iso(info.captured_at)}" for info in reversed(chosen)}
        return offers | ({"latest": "the newest"} if bucket else {})


BUCKET = BucketName()
STATE = StateName()


@click.command()
@common
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what SHELL needs to complete commands, buckets and states: eval "$(rwm completion bash)"."""
    kind = get_completion_class(shell)
    assert kind
    root = context.find_root()
    name = root.info_name or "rwm"
    click.echo(kind(root.command, {}, name, f"_{name.upper()}_COMPLETE").source())
