"""Packed text: nothing is lost, and SQLite's order is that of the text, in two ranges."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.index.packed import least_after, pack, pack_all, unpack, unpack_all

# Beside the digits what sorts right before and after them, and what is a digit to others: capitals, another script.
texts = st.text(alphabet="09af/:`gAF\u0661", max_size=20) | st.text(max_size=4)
digits = st.binary(min_size=8, max_size=10).map(bytes.hex)


@given(text=texts | digits)
def test_unpack_is_the_inverse_of_pack(text: str) -> None:
    assert unpack(pack(text)) == text


@given(column=st.lists(texts | digits, max_size=4) | st.lists(digits, max_size=4))
def test_a_column_is_packed_and_unpacked_value_by_value(column: list[str]) -> None:
    packed = pack_all(column)
    assert list(packed) == [pack(text) for text in column]
    assert list(unpack_all(packed)) == column


@given(content=st.binary(min_size=8, max_size=40))
def test_long_hexadecimal_takes_half_the_room(content: bytes) -> None:
    assert pack(content.hex()) == content


@pytest.mark.parametrize(
    "text",
    ["", "0", "0" * 14, "0" * 15, "0" * 17, "A" * 16, "0" * 15 + "g", "0" * 15 + "\n", "0" * 16 + "\n", "\u0660" * 16],
)
def test_other_text_stays_text(text: str) -> None:
    """Short, of an odd length, with capitals or digits of other scripts: the same bytes could mean two texts."""
    assert pack(text) == text


@given(names=st.lists(texts | digits, max_size=8))
def test_sqlite_sorts_text_before_packed_values_and_both_by_their_text(names: list[str]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (name ANY) STRICT")
    connection.executemany("INSERT INTO t VALUES (?)", [(pack(name),) for name in names])
    found = [name for (name,) in connection.execute("SELECT name FROM t ORDER BY name")]
    text = sorted(name for name in names if isinstance(pack(name), str))
    packed = sorted(name for name in names if isinstance(pack(name), bytes))
    assert [unpack(name) for name in found] == text + packed
    below = connection.execute("SELECT count(*) FROM t WHERE name < x''").fetchone()
    assert below == (len(text),)
    connection.close()


@example(after="f" * 16, content=b"\xff" * 8)
@example(after="fg", content=b"\xff" * 8)
@example(after="0", content=b"\0" * 8)
@given(
    after=st.text(alphabet="09af/:`g", max_size=5) | digits | texts,
    content=st.lists(st.sampled_from([0x00, 0x09, 0x0A, 0x9F, 0xA0, 0xF9, 0xFF]), min_size=8, max_size=9).map(bytes),
)
def test_the_least_after_parts_the_packed_as_their_texts_are_parted(after: str, content: bytes) -> None:
    """Of names that are packed; one that is equal counts as after, which only a packed bound can be."""
    least = least_after(after)
    assert (least is not None and content >= least) == (content.hex() >= after)


@pytest.mark.parametrize(
    ("after", "least"),
    [
        ("", b""),
        ("a", b"\xa0"),
        ("ab", b"\xab"),
        ("a/", b"\xa0"),
        ("a:", b"\xaa"),
        ("ag", b"\xb0"),
        ("9z", b"\xa0"),
        ("0fz", b"\x10"),
        ("/", b"\0"),
        ("g", None),
        ("fz", None),
        ("ffz", None),
        ("\u0661", None),
    ],
)
def test_the_least_after(after: str, least: bytes | None) -> None:
    assert least_after(after) == least
