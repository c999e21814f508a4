"""A configuration reads as it is written: no key is dropped, no secret is shortened."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rwm.config.yaml_file import parse_yaml
from rwm.errors import ConfigError

PATH = Path("/etc/rwm/rwm.conf")
SECRETS = ("restic_password", "s3_secret_key")


def parsed(text: str) -> object:
    return parse_yaml(PATH, text.encode(), SECRETS)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parsed(text)
    assert error.value.message.startswith(f"{PATH}: line ")
    return f"{error.value.message}; {error.value.hint}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("backups: {a: 1}\n# added later\nbackups: {b: 2}\n", ("line 3: backups ", "line 1")),
        (
            "backups:\n  data:\n    filesdirs: /a\n    excludes: x\n    filesdirs: /b\n",
            ("line 5: filesdirs ", "line 3"),
        ),
        ("backups:\n  x: 1\n  'x': 2\n", ("line 3: x ", "line 2")),
        ("a: {x: 1, x: 2}\n", ("line 1: x ", "line 1")),
        ("a:\n  - b: 1\n    b: 1\n", ("line 3: b ", "line 2")),
        ("a: &y\n  c: 1\n  c: 2\nb: *y\n", ("line 3: c ", "line 2")),
    ],
)
def test_a_key_that_is_written_twice_is_refused_with_both_lines(text: str, lines: tuple[str, str]) -> None:
    assert yaml.safe_load(text), "PyYAML itself takes it"
    message = refused(text)
    for line in lines:
        assert line in message


def test_the_same_key_in_different_places_is_fine() -> None:
    text = "a: {tags: 1}\nb: {tags: 2}\nc: &x {d: 1}\ne: {<<: *x, d: 2}\nf: &loop [*loop]\n"
    assert parsed(text.replace("f: &loop [*loop]\n", "")) == {
        "a": {"tags": 1},
        "b": {"tags": 2},
        "c": {"d": 1},
        "e": {"d": 2},
    }
    parsed(text)  # an alias to what it stands in comes to an end


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("restic_password: abc #def", "before ` #`"),
        ("a: 1\nrestic_password: abc   # the password\nb: 2", "before ` #`"),
        ("s3_secret_key: abc\n  def\n", "several lines"),
        ("s3_secret_key: 'abc\n  def'\n", "several lines"),
        ("restic_password: |\n  abc\n", "line ends"),
        ("restic_password: >-\n  abc\n", "line ends"),
    ],
)
def test_a_secret_that_yaml_would_change_is_refused_with_what_to_write(text: str, why: str) -> None:
    message = refused(text)
    assert why in message
    assert "in quotes" in message
    assert "abc" not in message
    assert "def" not in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("restic_password: abc#def", "abc#def"),
        ("restic_password: 'abc #def'  # a comment", "abc #def"),
        ('restic_password: "abc #def"', "abc #def"),
        ("restic_password: abc\n# comment", "abc"),
        ("{restic_password: abc}", "abc"),
    ],
)
def test_a_secret_that_yaml_takes_as_it_is(text: str, value: str) -> None:
    assert parsed(text) == {"restic_password": value}


def test_other_values_may_have_comments_and_blocks() -> None:
    text = "index_path: /a # the index\nbackups:\n  x:\n    prerun: |\n      a\n      b\n"
    assert parsed(text) == {"index_path": "/a", "backups": {"x": {"prerun": "a\nb\n"}}}


@pytest.mark.parametrize("value", ["/x\\uD800", "/x\\0", "\\xE9\\uDCFF"])
@pytest.mark.parametrize("line", ['index_path: "{}"', 'backups: {{etc: {{filesdirs: ["{}"]}}}}', '"{}": 1'])
def test_an_escape_that_makes_no_text_is_refused_with_its_line(line: str, value: str) -> None:
    with pytest.raises(ConfigError, match="line 2: an escape makes a character that is no text"):
        parsed("s3_region: x\n" + line.format(value))


def test_an_empty_file_is_an_empty_configuration() -> None:
    assert parsed("") == parsed("# nothing\n") == {}


@given(st.dictionaries(st.text("ab #", min_size=1, max_size=3), st.text("ab #\n'\"\\:", max_size=6), max_size=4))
def test_what_yaml_itself_writes_is_read_back(values: dict[str, str]) -> None:
    assert parse_yaml(PATH, yaml.safe_dump(values, width=1000).encode(), ()) == values


@given(st.text("ab #\"'\\:-{}[]", min_size=1, max_size=8))
def test_a_password_is_taken_to_the_letter_or_refused(text: str) -> None:
    """What an owner reads on the line behind ``restic_password:`` without quotes is what is used."""
    try:
        values = parse_yaml(PATH, f"restic_password: {text}\n".encode(), SECRETS)
    except ConfigError:
        return
    value = values["restic_password"]
    assert value is None or not isinstance(value, str) or value == text.strip() or text.strip()[0] in "\"'"
