"""Kinds of keys by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.restic import expected_sha256
from rwm.trust.names import CONTENT_ADDRESSED, Kind, kind_of

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config", Kind.CONFIG),
        (f"keys/{HEX}", Kind.KEYS),
        (f"index/{HEX}", Kind.INDEX),
        (f"snapshots/{HEX}", Kind.SNAPSHOTS),
        (f"locks/{HEX}", Kind.LOCKS),
        (f"data/ab/{HEX}", Kind.DATA),
        (f"data/cd/{HEX}", Kind.FOREIGN),
        (f"data/{HEX}", Kind.FOREIGN),
        (f"index/{HEX[1:]}", Kind.FOREIGN),
        (f"index/{HEX}0", Kind.FOREIGN),
        (f"index/{HEX.upper()}", Kind.FOREIGN),
        (f"index/{HEX}\n", Kind.FOREIGN),
        (f"index/sub/{HEX}", Kind.FOREIGN),
        ("data/ab/\x01", Kind.FOREIGN),
        ("keys//", Kind.FOREIGN),
        ("data/", Kind.OTHER),
        ("data/ab/", Kind.OTHER),
        ("data/abc/", Kind.FOREIGN),
        ("locks/", Kind.OTHER),
        ("config/", Kind.OTHER),
        ("config2", Kind.OTHER),
        ("notes.txt", Kind.OTHER),
        ("host1/config", Kind.OTHER),
        (f"host1/data/ab/{HEX}", Kind.OTHER),
        ("rwm/states/x", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_kind(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@given(
    st.sampled_from(["", "data/", "data/ab/", "index/", "keys/", "snapshots/", "locks/"]),
    st.one_of(st.just(HEX), st.text("ab/0\n", max_size=6)),
)
def test_names_that_are_hashes_have_a_kind_that_says_so(directory: str, name: str) -> None:
    kind = kind_of(directory + name)
    if kind in CONTENT_ADDRESSED:
        assert expected_sha256(directory + name) == name
