"""The rules of a forget from a configuration."""

from __future__ import annotations

import pytest

from rwm.errors import ConfigError, Refused, RwmError, UsageError
from rwm.forget import read_policy

DAILY = {"keep-daily": "7"}


def test_rules_options_and_grouping_of_a_configuration() -> None:
    extras = ["--group-by=host", "--keep-tag", "a,b", "--keep-last=2", "--max-unused=1%", "--repack-small", "-q"]
    policy = read_policy({**DAILY, "keep-tag": "c"}, extras)
    assert policy.rules == {"keep-daily": "7", "keep-tag": "c", "keep-last": "2"}
    assert policy.tags == (("c",), ("a", "b"))
    assert policy.group_by == ("host",)
    assert policy.prune_options == ("--max-unused=1%", "--repack-small")


@pytest.mark.parametrize(
    ("given", "grouping"),
    [(None, ("host", "paths")), ("", ()), ("path,hosts", ("host", "paths")), ("tags", ("tags",))],
)
def test_grouping_is_written_as_restic_does(given: str | None, grouping: tuple[str, ...]) -> None:
    assert read_policy(DAILY, [], given).group_by == grouping


def test_the_command_line_replaces_the_grouping_of_the_configuration() -> None:
    assert read_policy(DAILY, ["-g", "tags"], "host").group_by == ("host",)


@pytest.mark.parametrize(
    ("retention", "extras", "group_by", "error", "said"),
    [
        ({}, [], None, Refused, "no retention is configured"),
        ({"keep-daily": "0"}, [], None, Refused, "keeps nothing"),
        ({"keep-within": "soon"}, [], None, ConfigError, "keep-within"),
        ({"keep-daily": "-3"}, [], None, ConfigError, "keep-daily"),
        (DAILY, ["--host=web1"], None, ConfigError, "--host=web1"),
        (DAILY, ["--keep-nothing=1"], None, ConfigError, "--keep-nothing"),
        (DAILY, ["--dry-run"], None, ConfigError, "--dry-run"),
        (DAILY, [], "user", UsageError, "user"),
    ],
)
def test_rules_that_are_not_understood_are_errors(
    retention: dict[str, str], extras: list[str], group_by: str | None, error: type[RwmError], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_policy(retention, extras, group_by)


@pytest.mark.parametrize(
    ("retention", "alone"),
    [({"keep-last": "3"}, True), ({"keep-last": "3", "keep-daily": "1"}, False), ({"keep-within-daily": "9d"}, False)],
)
def test_rules_that_only_count_are_told_apart(retention: dict[str, str], alone: bool) -> None:
    assert read_policy(retention, []).counts_alone == alone


def test_a_tag_alone_is_a_rule() -> None:
    assert read_policy({"keep-tag": "keep"}, []).tags == (("keep",),)
