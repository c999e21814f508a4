"""``-o``: options as mount(8) and fstab write them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwmfs.cli.fstab_options import FLAG_OPTIONS, IGNORED, PATH_OPTIONS, REFUSED, VALUE_OPTIONS, is_known, parse, split

VALUE = st.text(min_size=1).filter(lambda text: "," not in text)
OWN_OPTIONS = st.one_of(
    st.tuples(st.sampled_from(VALUE_OPTIONS), VALUE), st.tuples(st.sampled_from(FLAG_OPTIONS), st.just(True))
)
NAME = st.text(alphabet="abx_-", min_size=1)
IGNORED_OPTIONS = st.one_of(
    st.sampled_from(sorted(IGNORED)),
    st.builds("{}{}".format, st.sampled_from(["x-", "X-"]), VALUE),
    st.builds("{}={}".format, st.sampled_from(["comment", "user"]), VALUE),
)


def option_text(name: str, value: str | bool) -> str:
    return name if value is True else f"{name}={value}"


def test_options_of_a_line_of_fstab() -> None:
    line = "ro,at=latest,allow_other,uid=backup,umask=0077,_netdev,nofail,x-systemd.automount,comment=a=b"
    assert parse(split([line])) == {"at": "latest", "allow_other": True, "uid": "backup", "umask": "0077"}


def test_empty_options_are_skipped() -> None:
    assert parse(split(["", ",", "defaults,,"])) == {}


def test_values_are_not_decoded() -> None:
    assert parse([r"log_file=/a\040b = c"]) == {"log_file": r"/a\040b = c"}


@given(st.lists(OWN_OPTIONS), st.lists(IGNORED_OPTIONS), st.randoms(use_true_random=False))
def test_own_options_are_parsed_among_ignored_ones(
    own: list[tuple[str, str | bool]], ignored: list[str], random: Random
) -> None:
    options = [option_text(name, value) for name, value in own]
    for other in ignored:
        options.insert(random.randint(0, len(options)), other)
    assert parse(options) == dict(own), "the last one of a name wins"
    assert all(is_known(option) for option in options)


@given(st.lists(st.lists(VALUE)))
def test_options_may_be_spread_over_any_number_of_arguments(groups: list[list[str]]) -> None:
    flat = [option for group in groups for option in group]
    assert split(",".join(group) for group in groups) == flat == split([",".join(flat)])


@given(NAME.filter(lambda name: not name.startswith("x-")), st.lists(OWN_OPTIONS))
def test_an_unknown_option_is_named_in_the_error(name: str, own: list[tuple[str, str | bool]]) -> None:
    assert not is_known(name)
    with pytest.raises(UsageError, match=f"^mount option {name} is unknown$") as caught:
        parse([*(option_text(*each) for each in own), name])
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
def test_a_wrong_option_is_an_error_that_names_it(option: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse([option])


def test_every_option_belongs_to_one_group() -> None:
    names = [*VALUE_OPTIONS, *FLAG_OPTIONS, *REFUSED, *IGNORED]
    assert len(names) == len(set(names))
    assert set(PATH_OPTIONS) <= set(VALUE_OPTIONS)
    assert not any(is_known(name) for name in ("", "x", "rwx", "allow"))
