"""The check before a mount: one byte of the state is read, or an error raised."""

from __future__ import annotations

import pytest

from rwm.errors import Unreachable
from rwmfs.mount.readable import check_readable
from tests.unit.fakes import fake_state


@pytest.mark.parametrize(
    ("files", "read"),
    [
        ({}, []),
        ({"a": b""}, []),
        ({"a": b"x", "config": b"xyz"}, [("config", 0, 1)]),
        ({"a": b"", "config": b"", "data/1": b"", "data/2/3": b"x", "z": b"x"}, [("data/2/3", 0, 1)]),
        ({f"empty{number}": b"" for number in range(25)} | {"last": b"x"}, [("last", 0, 1)]),
        ({f"empty{number:05}": b"" for number in range(2000)} | {"last": b"x"}, []),
    ],
)
def test_a_byte_of_config_or_of_another_file_is_read(files: dict[str, bytes], read: list[tuple[str, int, int]]) -> None:
    state, bucket = fake_state(files)
    check_readable(state, bucket)
    assert bucket.requests == read


def test_the_read_demands_the_etag_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    state, bucket = fake_state({"config": b"xyz"})
    given: list[str] = []

    def read_range(*_: object, etag: str) -> bytes:
        given.append(etag)
        return b"x"

    monkeypatch.setattr(bucket, "read_range", read_range)
    check_readable(state, bucket)
    assert given == ["etag-3"]


def test_an_error_of_the_read_is_raised() -> None:
    def fault(*_: object) -> None:
        raise Unreachable("no route")

    state, bucket = fake_state({"config": b"x"})
    bucket.fault = fault
    with pytest.raises(Unreachable):
        check_readable(state, bucket)
