"""Keys and paths: every key is shown or hidden, and no path leaves its root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.names import (
    HiddenKeyError,
    HiddenReason,
    component_hidden_reason,
    hidden_keys,
    hidden_reason,
    parent_directories,
    path_parts,
    split_key,
)

TINY = st.text(alphabet="ab./\0", min_size=1, max_size=7)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("config", None),
        ("data/ab/abcdef", None),
        ("with space/100%/a+b/Привет", None),
        ("...", None),
        (".hidden/..x", None),
        ("line\nbreak", None),
        ("", HiddenReason.EMPTY),
        ("/a", HiddenReason.EMPTY),
        ("a//b", HiddenReason.EMPTY),
        ("a/", HiddenReason.EMPTY),
        ("/", HiddenReason.EMPTY),
        (".", HiddenReason.DOTS),
        ("a/../b", HiddenReason.DOTS),
        ("a/./b", HiddenReason.DOTS),
        ("a\0b", HiddenReason.NUL),
        ("x" * 255, None),
        ("x" * 256, HiddenReason.TOO_LONG),
        ("d" * 256 + "/x", HiddenReason.TOO_LONG),
        ("ю" * 127, None),
        ("ю" * 128, HiddenReason.TOO_LONG),
        ("a/\ud800", HiddenReason.NOT_UTF8),
    ],
)
def test_hidden_reason(key: str, reason: HiddenReason | None) -> None:
    assert hidden_reason(key) == reason


@pytest.mark.parametrize(
    ("key", "parts"),
    [("c", ("", "c")), ("a/b/c", ("a/b/", "c")), ("a/", ("a/", "")), ("/a", ("/", "a")), ("", ("", ""))],
)
def test_split_key(key: str, parts: tuple[str, str]) -> None:
    assert split_key(key) == parts


def test_parent_directories() -> None:
    assert list(parent_directories("a/b/c")) == ["a/", "a/b/"]
    assert list(parent_directories("a")) == []


def test_a_directory_hides_the_file_of_the_same_name() -> None:
    assert hidden_keys(["a", "a/b", "a/b/c", "b"]) == {"a": HiddenReason.SHADOWED, "a/b": HiddenReason.SHADOWED}


def test_a_hidden_key_creates_no_directory() -> None:
    assert hidden_keys(["config", "config/.."]) == {"config/..": HiddenReason.DOTS}


def test_a_key_sorted_between_file_and_directory_does_not_matter() -> None:
    assert hidden_keys(sorted(["a", "a-b", "a/b"])) == {"a": HiddenReason.SHADOWED}


@given(st.text())
def test_split_key_keeps_every_character(key: str) -> None:
    directory, name = split_key(key)
    assert directory + name == key
    assert "/" not in name
    assert directory == "" or directory.endswith("/")


@given(st.text(alphabet="ab./\0\ud800ю", max_size=9))
def test_a_key_is_hidden_if_a_component_is(key: str) -> None:
    reasons = [component_hidden_reason(component) for component in key.split("/")]
    assert hidden_reason(key) == next((reason for reason in reasons if reason), None)


@given(st.sets(TINY, max_size=12))
@example({"a", "a/b", "a/b/a", "a//b", "b/..", "b"})
def test_every_key_is_either_shown_or_hidden(keys: set[str]) -> None:
    """Shown keys form a tree without conflicts; shadowed keys would conflict."""
    hidden = hidden_keys(sorted(keys))
    shown = keys - hidden.keys()
    assert hidden.keys() <= keys
    files = {path_parts(key) for key in shown}
    assert len(files) == len(shown)
    inner = {parts[:depth] for parts in files for depth in range(1, len(parts))}
    assert not files & inner
    for key, reason in hidden.items():
        if reason is HiddenReason.SHADOWED:
            assert path_parts(key) in inner


@given(st.text(alphabet="ab./\0", max_size=9))
def test_a_path_never_leaves_its_root(key: str) -> None:
    root = Path("/restore/here")
    try:
        path = root.joinpath(*path_parts(key))
    except HiddenKeyError as error:
        assert error.reason == hidden_reason(key)
    else:
        assert os.path.normpath(path) == str(path)
        assert path.is_relative_to(root) and path != root
        assert str(path.relative_to(root)) == key
