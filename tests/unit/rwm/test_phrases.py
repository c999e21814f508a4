"""Counts agree with their nouns, and lists in sentences are short."""

from __future__ import annotations

import pytest

from rwm.phrases import format_count, name_some


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, 3"), (5, "0, 1, 2 and 2 more")]
)
def test_a_list_is_cut_where_that_makes_it_shorter(count: int, text: str) -> None:
    assert name_some(list(range(count))) == text


def test_limit_and_separator() -> None:
    assert name_some("abcd", 1, "; ") == "a and 3 more"


@pytest.mark.parametrize(("number", "text"), [(0, "0 days"), (1, "1 day"), (2, "2 days")])
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert format_count(number, "day") == text


def test_a_noun_with_its_own_plural() -> None:
    forms = ("version or marker", "versions and markers")
    assert [format_count(number, *forms) for number in (1, 2)] == ["1 version or marker", "2 versions and markers"]
