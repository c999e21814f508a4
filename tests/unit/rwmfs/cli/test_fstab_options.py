"""``-o``: options as mount(8) and fstab write them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwmfs.cli.fstab_options import FLAG_OPTIONS, IGNORED, PATH_OPTIONS, REFUSED, VALUE_OPTIONS, is_known, parse, split

VALUE = st.text(min_size=1).filter(lambda text: "," not in text)
OURS = st.one_of(
    st.tuples(st.sampled_from(VALUE_OPTIONS), VALUE), st.tuples(st.sampled_from(FLAG_OPTIONS), st.just(True))
)
NAME = st.text(alphabet="abx_-", min_size=1)
OTHERS = st.one_of(
    st.sampled_from(sorted(IGNORED)),
    st.builds("{}{}".format, st.sampled_from(["x-", "X-"]), VALUE),
    st.builds("{}={}".format, st.sampled_from(["comment", "user"]), VALUE),
)


def written(name: str, value: str | bool) -> str:
    return name if value is True else f"{name}={value}"


def test_a_line_of_fstab() -> None:
    line = "ro,at=latest,allow_other,uid=backup,umask=0077,_netdev,nofail,x-systemd.automount,comment=a=b"
    assert parse(split([line])) == {"at": "latest", "allow_other": True, "uid": "backup", "umask": "0077"}


def test_nothing_is_nothing() -> None:
    assert parse(split(["", ",", "defaults,,"])) == {}


def test_a_value_is_taken_as_it_is() -> None:
    assert parse([r"log_file=/a\040b = c"]) == {"log_file": r"/a\040b = c"}


@given(st.lists(OURS), st.lists(OTHERS), st.randoms(use_true_random=False))
def test_what_is_written_comes_back_whatever_else_is_said(
    ours: list[tuple[str, str | bool]], others: list[str], random: Random
) -> None:
    options = [written(name, value) for name, value in ours]
    for other in others:
        options.insert(random.randint(0, len(options)), other)
    assert parse(options) == dict(ours), "the last of a name counts"
    assert all(is_known(option) for option in options)


@given(st.lists(st.lists(VALUE)))
def test_it_does_not_matter_how_options_are_spread(groups: list[list[str]]) -> None:
    flat = [option for group in groups for option in group]
    assert split(",".join(group) for group in groups) == flat == split([",".join(flat)])


@given(NAME.filter(lambda name: not name.startswith("x-")), st.lists(OURS))
def test_what_is_unknown_is_named(name: str, ours: list[tuple[str, str | bool]]) -> None:
    assert not is_known(name)
    with pytest.raises(UsageError, match=f"^mount option {name} is unknown$") as caught:
        parse([*(written(*each) for each in ours), name])
    assert "cache_size" in caught.value.hint
    assert "comma" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("rw", "mount option rw: a state is read-only"),
        ("remount", "unmount it and mount it again"),
        ("at", "mount option at needs a value"),
        ("uid=", "mount option uid needs a value"),
        ("allow_other=1", "allow_other takes no value"),
        ("cache-size=1G", "cache-size=1G is unknown"),
        ("ro=1", "ro=1 is unknown"),
        ("comment", "comment is unknown"),
        ("AT=latest", "AT=latest is unknown"),
        (" ro", " ro is unknown"),
    ],
)
def test_what_is_wrong_says_so(option: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse([option])


def test_each_name_has_one_meaning() -> None:
    names = [*VALUE_OPTIONS, *FLAG_OPTIONS, *REFUSED, *IGNORED]
    assert len(names) == len(set(names))
    assert set(PATH_OPTIONS) <= set(VALUE_OPTIONS)
    assert not any(is_known(name) for name in ("", "x", "rwx", "allow"))
