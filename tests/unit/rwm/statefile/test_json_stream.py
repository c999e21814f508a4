"""One JSON object as a stream: the same as when it is read at once, or a BadState that says where."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.errors import BadState
from rwm.statefile.json_stream import ELEMENT_MAX, MEMBER_MAX, MEMBERS_MAX, NAME_MAX, Member, members

ARRAYS = ("rows", "more")


def read(*content: bytes | str) -> list[Member]:
    return list(members([piece.encode() if isinstance(piece, str) else piece for piece in content], ARRAYS))


def outcome(content: Iterable[bytes]) -> list[Member] | str:
    """What is read, or why it is refused."""
    try:
        return list(members(content, ARRAYS))
    except BadState as error:
        assert "\n" not in error.message
        return error.message


def fault(*content: bytes | str) -> str:
    found = outcome([piece.encode() if isinstance(piece, str) else piece for piece in content])
    assert isinstance(found, str)
    return found.removeprefix("not a JSON document: ")


# --- what is read ------------------------------------------------------------------------------------


def test_members_come_in_their_order_and_arrays_by_element() -> None:
    text = '\n{"a": [1, 2], "rows": [ {"x": null}, [] ,"т"] , "b" :-1.5e3,"more":[],"\\u0063":""}\t\r\n'
    assert read(text) == [
        ("a", None, [1, 2]),
        ("rows", 0, {"x": None}),
        ("rows", 1, []),
        ("rows", 2, "т"),
        ("b", None, -1500.0),
        ("c", None, ""),
    ]
    assert read("{}") == read(" { } ") == []


@pytest.mark.parametrize("value", [None, True, 7, "x", {"a": []}])
def test_what_should_be_an_array_may_be_none(value: Any) -> None:
    assert read(json.dumps({"rows": value})) == [("rows", None, value)]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(ARRAYS) | st.text(max_size=3), values, max_size=5)
layouts = st.fixed_dictionaries({"indent": st.none() | st.integers(0, 2), "ensure_ascii": st.booleans()})


def members_of(value: dict[str, Any]) -> Iterator[Member]:
    for name, member in value.items():
        if name in ARRAYS and isinstance(member, list):
            yield from (Member(name, number, element) for number, element in enumerate(member))
        else:
            yield Member(name, None, member)


@given(value=objects, layout=layouts, size=st.integers(1, 9))
def test_it_is_what_is_read_at_once(value: dict[str, Any], layout: dict[str, Any], size: int) -> None:
    content = json.dumps(value, **layout).encode()
    assert list(members(split(content, size), ARRAYS)) == list(members_of(value))


def split(content: bytes, size: int) -> Iterator[bytes]:
    return (content[place : place + size] for place in range(0, len(content), size))


@example(value={"rows": [0]}, edits=[(1, 0, b"\xff"), (0, 1, b"[")], size=1)
@given(
    value=objects,
    edits=st.lists(
        st.tuples(
            st.integers(0, 100),
            st.integers(0, 3),
            st.binary(max_size=2) | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b",", b":", b"NaN", b"\xd1"]),
        ),
        max_size=3,
    ),
    size=st.integers(1, 9),
)
def test_pieces_do_not_matter_and_nothing_else_is_taken(
    value: dict[str, Any], edits: list[tuple[int, int, bytes]], size: int
) -> None:
    """What JSON refuses is refused, with the same words however it comes in."""
    content = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    for place, removed, added in edits:
        place %= len(content) + 1
        content = content[:place] + added + content[place + removed :]
    found = outcome([content])
    assert outcome(split(content, size)) == found
    assert found == expected(content) or (isinstance(found, str) and expected(content) is None)


def expected(content: bytes) -> list[Member] | None:
    """What is read at once, None where it is no such object."""
    try:
        text = content.decode()
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_once)
    except (ValueError, TypeError):
        return None
    return list(members_of(value)) if isinstance(value, dict) else None


def _once(pairs: Any) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


# --- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not a JSON object"),
        (" ", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("\ufeff{}", "not a JSON object"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"{\xff", "field 1: byte 1 is not UTF-8"),
        (b"{} \xff", "its end: byte 3 is not UTF-8"),
        (b'{"rows":["ab\xed\xa0\x80"]}', "rows[0]: byte 12 is not UTF-8"),
        (b'{"a":1,"b":"\xd1', "b: byte 12 is not UTF-8"),
        ("{", "field 1: it ends too early"),
        ("{1:2}", "field 1: a name is missing"),
        ('{"a":1,}', "field 2: a name is missing"),
        ("{,}", "field 1: a name is missing"),
        ('{"a', "field 1: Unterminated string starting at"),
        ('{"a"', "a: it ends too early"),
        ('{"a" 1}', "a: ':' is missing"),
        ('{"a":', "a: it ends too early"),
        ('{"a":}', "a: Expecting value"),
        ('{"a":1', "a: it ends too early"),
        ('{"a":1 "b":2}', "a: ',' or '}' is missing"),
        ('{"a":1]', "a: ',' or '}' is missing"),
        ('{"a":1,"a":2}', "field 2: a is repeated"),
        ('{"rows":[],"a":1,"rows":[]}', "field 3: rows is repeated"),
        ('{"two\\nlines":1,"two\\nlines":2}', "field 2: 'two\\nlines' is repeated"),
        ('{"two\\nlines":x}', "'two\\nlines': Expecting value"),
        ('{"rows":[1,{"a":[],"a":[]}]}', "rows[1]: a field is repeated"),
        ('{"rows":[', "rows[0]: it ends too early"),
        ('{"rows":[1', "rows[0]: it ends too early"),
        ('{"rows":[1,', "rows[1]: it ends too early"),
        ('{"rows":[1 2]}', "rows[0]: ',' or ']' is missing"),
        ('{"rows":[1,]}', "rows[1]: Expecting value"),
        ('{"rows":[,1]}', "rows[0]: Expecting value"),
        ('{"rows":[1}}', "rows[0]: ',' or ']' is missing"),
        ('{"rows":[]]}', "rows: ',' or '}' is missing"),
        ('{"rows":[NaN]}', "rows[0]: NaN is not a number"),
        ('{"rows":[-Infinity]}', "rows[0]: -Infinity is not a number"),
        ('{"a":Infinity}', "a: Infinity is not a number"),
        ('{"a":["\t"]}', "a: Invalid control character at"),
        ("{} {}", "its end: something follows"),
        ("{}\0", "its end: something follows"),
        ('{"a":1}}', "its end: something follows"),
        ('{"rows":[' + "[" * 50_000, "rows[0]: nested too deeply"),
        ('{"rows":[' + "[" * 5000 + "]" * 5000 + "]}", "rows[0]: nested too deeply"),
        ('{"a":' + '{"a":' * 50_000, "a: nested too deeply"),
    ],
)
def test_a_document_that_is_none(content: bytes | str, why: str) -> None:
    assert fault(content) == why
    data = content if isinstance(content, bytes) else content.encode()
    assert outcome(split(data, 1)) == outcome([data])


def test_a_number_has_a_bound() -> None:
    assert fault('{"rows":[' + "9" * 5000 + "]}").startswith("rows[0]: Exceeds the limit (4300")


def test_a_value_has_a_bound() -> None:
    """The same one, however much of the text is there."""
    for name, place, limit in (("rows", "rows[0]", ELEMENT_MAX), ("a", "a", MEMBER_MAX)):
        head = f'{{"{name}":[' if name == "rows" else f'{{"{name}":'
        end = "]}" if name == "rows" else "}"
        for first, filler, last in (('"', "x", '"'), ("[", " ", "]"), ('"', "я", '"')):
            assert len(read(head, first, filler * (limit - 2), last, end)) == 1
            why = f"{place}: longer than {limit} characters"
            assert fault(head + first + filler * (limit - 1) + last + end) == why
            assert fault(head, first, filler * (limit - 1), last) == why
            assert fault(head, first, filler * 10 * limit, last, end) == why
            assert fault(head, first, filler * 10 * limit) == why


def test_a_fault_within_the_bound_is_named_as_what_it_is() -> None:
    long = "x" * 2 * MEMBER_MAX
    assert fault('{"a":[1 "', long) == "a: Expecting ',' delimiter"
    assert fault('{"rows":[{"a":nul,"b":"', long) == "rows[0]: Expecting value"


def test_a_name_has_a_bound_and_there_are_so_many() -> None:
    long = "x" * (NAME_MAX - 2)
    assert read(f'{{"{long}":1}}') == [(long, None, 1)]
    assert fault(f'{{"{long}x":1}}') == f"field 1: longer than {NAME_MAX} characters"
    assert len(read(json.dumps(dict.fromkeys(map(str, range(MEMBERS_MAX)))))) == MEMBERS_MAX
    assert fault(json.dumps(dict.fromkeys(map(str, range(MEMBERS_MAX + 1))))) == f"more than {MEMBERS_MAX} fields"


def test_a_fault_of_the_content_is_passed_on() -> None:
    def broken() -> Iterator[bytes]:
        yield b'{"a":1}'
        raise BadState("the file is cut off")

    with pytest.raises(BadState, match="cut off"):
        list(members(broken(), ARRAYS))


# --- memory ------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_number_of_elements() -> None:
    spaces = b" " * (64 << 10)
    content = chain([b'{"rows": ['], repeat(b"[], " * 10_000, 10), [b'"end"]'], repeat(spaces, 32), [b"}"])
    tracemalloc.start()
    count = sum(1 for _ in members(content, ARRAYS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_001
    assert peak < 1 << 20
