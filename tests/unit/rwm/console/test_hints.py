"""Commands in what is printed can be typed as they are: they have the options of this run."""

from __future__ import annotations

import click
import pytest

from rwm import console
from rwm.console import Invocation, complete_command, complete_hints
from rwm.errors import Refused
from tests.unit.terminal import Terminal

ADMIN = Invocation("admin.conf")


def test_a_command_between_backticks_gets_the_configuration() -> None:
    text = "`rwm state sync bucket1` fetches them, `rwmfs mount bucket1 --at latest /mnt` shows one"
    assert complete_hints(text, ADMIN) == (
        "`rwm -c admin.conf state sync bucket1` fetches them, "
        "`rwmfs -c admin.conf mount bucket1 --at latest /mnt` shows one"
    )


@pytest.mark.parametrize(
    "text",
    [
        "pruned by rwm prune on Monday",
        "`rwmfs umount /mnt/repo` ends it",
        "`restic check` and `rwm version`",
        "`rwmish audit`",
        "a ` alone, and rwm state sync",
        "``",
        "`rwm`",
    ],
)
def test_what_is_no_command_that_reads_a_configuration_stays(text: str) -> None:
    assert complete_hints(text, ADMIN) == text


def test_without_a_named_configuration_nothing_is_inserted() -> None:
    assert complete_hints("`rwm audit bucket1`", Invocation()) == "`rwm audit bucket1`"


def test_the_path_is_quoted() -> None:
    assert complete_command("rwm audit b", Invocation("my conf")) == "rwm -c 'my conf' audit b"


@pytest.mark.parametrize(
    ("option", "variables", "config"),
    [
        ("a.conf", {}, "a.conf"),
        (None, {"RWM_CONFIG": "b.conf"}, "b.conf"),
        ("a.conf", {"RWM_CONFIG": "b.conf"}, "a.conf"),
        (None, {"RWM_CONFIG": ""}, ""),
        (None, {}, ""),
    ],
)
def test_the_configuration_is_that_of_the_option_or_of_the_environment(
    option: str | None, variables: dict[str, str], config: str
) -> None:
    assert Invocation.of(option, variables) == Invocation(config)


@click.group()
@console.common_options
def program() -> None:
    pass


@program.command()
@console.common_options
def talk() -> None:
    console.print_text("`rwm audit a`")
    console.print_command("rwm audit b")
    console.warn("`rwm audit c`")
    console.print_note("`rwm audit d`")
    raise Refused("see `rwm audit e`", hint="`rwm audit f` says more")


@pytest.mark.parametrize("words", [("-c", "x.conf", "talk"), ("talk", "-c", "x.conf"), ("talk", "--confg", "x.conf")])
def test_all_that_is_printed_is_completed(rwm_: Terminal, words: tuple[str, ...]) -> None:
    assert rwm_(*words, command=program) == 5
    assert rwm_.out == "`rwm -c x.conf audit a`\n  rwm -c x.conf audit b\n"
    assert rwm_.err == (
        "warning: `rwm -c x.conf audit c`\n`rwm -c x.conf audit d`\n"
        "rwm: see `rwm -c x.conf audit e`\n  `rwm -c x.conf audit f` says more\n"
    )


def test_a_configuration_of_the_environment_is_named_too(rwm_: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWM_CONFIG", "x.conf")
    rwm_("talk", command=program)
    assert rwm_.out == "`rwm -c x.conf audit a`\n  rwm -c x.conf audit b\n"
