"""The check before a mount: one byte of the state is read, or an error raised."""

from __future__ import annotations

import pytest

from rwm.errors import S3Error, Unreachable
from rwmfs.mount.readable import check_newest_readable, check_readable, sample
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


class TestNewest:
    """The newest of several states need not be readable."""

    def test_another_state_can_be_read(self) -> None:
        (broken, _), (good, bucket) = fake_state({"config": b"x"}), fake_state({"keys/k": b"y"})
        empty, _ = fake_state({"config": b""})
        bucket.fault = refuse_config
        found = check_newest_readable([broken, empty, broken, good], bucket)
        assert isinstance(found, S3Error) and found.message == "encrypted with another key"
        assert check_newest_readable([good, broken], bucket) is None

    def test_no_state_can_be_read(self) -> None:
        (broken, bucket), (empty, _) = fake_state({"config": b"x"}), fake_state({"config": b""})
        bucket.fault = refuse_config
        with pytest.raises(S3Error, match="another key"):
            check_newest_readable([broken, empty, broken], bucket)

    def test_an_unreachable_server_is_asked_once(self) -> None:
        state, bucket = fake_state({"config": b"x"})

        def unreachable(*_: object) -> None:
            raise Unreachable("no route")

        bucket.fault = unreachable
        with pytest.raises(Unreachable):
            check_newest_readable([state, state], bucket)
        assert len(bucket.requests) == 1


def refuse_config(key: str, start: int, stop: int) -> None:
    if key == "config":
        raise S3Error("encrypted with another key")


@pytest.mark.parametrize(
    ("count", "positions"), [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 1, 2, 4]), (20, [0, 1, 2, 4, 8, 16, 19])]
)
def test_a_sample_of_states_has_the_first_and_the_last(count: int, positions: list[int]) -> None:
    assert sample(range(count)) == positions
