"""A part of an object version: exactly the bytes that were asked for, or an error."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest

from rwm.errors import AccessDenied, BadResponse, Cancelled, RwmError, S3Error, Unreachable
from rwm.s3 import S3, Credentials
from rwm.s3.objects import CHUNK, BucketReader

DATA = bytes(range(256)) * 10
Answer = dict[str, Any] | Exception


class Body(io.BytesIO):
    """Gives at most ``step`` bytes at a time, and breaks off with an error after ``whole`` if that is set."""

    def __init__(self, data: bytes, step: int = 1 << 30, breaks: Exception | None = None) -> None:
        super().__init__(data)
        self._step = step
        self._breaks = breaks

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(self._step if size is None or size < 0 else min(size, self._step))
        if not data and self._breaks:
            raise self._breaks
        return data


class Client:
    """Answers GetObject with these, one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def get_object(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(start: int = 10, stop: int = 20, body: Body | None = None, **other: Any) -> dict[str, Any]:
    """A right answer, but for what is said otherwise; None leaves a field out."""
    fields = {
        "Body": body or Body(DATA[start:stop]),
        "VersionId": "v1",
        "ContentLength": stop - start,
        "ContentRange": f"bytes {start}-{stop - 1}/{len(DATA)}",
    } | other
    return {name: value for name, value in fields.items() if value is not None}


def read(
    *answers: Answer, start: int = 10, stop: int = 20, attempts: int = 1, wanted: Callable[[], bool] = lambda: True
) -> bytes:
    client: Any = Client(*answers)
    return bytes(BucketReader(client, "bucket1", attempts).read_range("key", "v1", start, stop, wanted))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_what_is_asked_and_what_comes() -> None:
    client: Any = Client(answer())
    assert BucketReader(client, "bucket1").read_range("key", "v1", 10, 20) == DATA[10:20]
    assert client.asked == [{"Bucket": "bucket1", "Key": "key", "VersionId": "v1", "Range": "bytes=10-19"}]


def test_it_comes_into_the_room_that_is_made_for_it() -> None:
    client: Any = Client(answer())
    rooms: list[bytearray] = []

    def allocate(size: int) -> bytearray:
        rooms.append(bytearray(size))
        return rooms[-1]

    s3 = S3("http://127.0.0.1:1", Credentials("key", "secret"), "us-east-1", client)
    data = s3.reader("bucket1", allocate=allocate).read_range("key", "v1", 10, 20)
    assert isinstance(data, memoryview)
    assert data.obj is rooms.pop()
    assert not rooms


def test_of_nothing_nothing_is_asked() -> None:
    client: Any = Client(answer())
    assert BucketReader(client, "bucket1").read_range("key", "v1", 5, 5) == b""
    assert client.asked == []


@pytest.mark.parametrize(
    "right",
    [
        answer(VersionId=None),
        answer(body=Body(DATA[10:20], step=1)),
        answer(ContentRange="bytes 10-19/*"),
        answer(ContentRange="bytes 10-19"),
    ],
)
def test_right_answers_in_other_forms(right: dict[str, Any]) -> None:
    assert read(right) == DATA[10:20]


def test_a_whole_object_needs_no_range_in_the_answer() -> None:
    assert read(answer(0, 20, ContentRange=None), start=0) == DATA[:20]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (answer(VersionId="other"), "answered with version other"),
        (answer(ContentRange="bytes 11-20/2560"), "'bytes 11-20' came for bytes 10 to 20"),
        (answer(ContentRange="bytes 10-20/2560"), "'bytes 10-20' came"),
        (answer(ContentRange="pages 10-19/2560"), "'pages 10-19' came"),
        (answer(ContentRange="x" * 1000), "x{60}' came"),
        (answer(ContentRange=None), "the start of the object came for bytes 10 to 20"),
        (answer(ContentLength=None), "no length came for bytes 10 to 20"),
        (answer(ContentLength=11), "11 bytes came for bytes 10 to 20"),
        (answer(ContentLength=len(DATA), ContentRange=None, body=Body(DATA)), "2560 bytes came for bytes 10 to 20"),
        (answer(body=Body(DATA[10:19])), "9 bytes came for bytes 10 to 20"),
        (answer(body=Body(b"")), "0 bytes came for bytes 10 to 20"),
    ],
)
def test_answers_that_cannot_be_right(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadResponse, match=message):
        read(wrong)
    assert wrong["Body"].closed


ONE, OTHER = hashlib.md5(b"1").hexdigest(), hashlib.md5(b"2").hexdigest()


@pytest.mark.parametrize(
    ("version_id", "named", "found", "recorded", "right"),
    [
        ("null", "null", f'"{ONE}"', ONE, True),
        ("null", None, ONE, ONE, True),
        ("null", None, f'W/"{ONE}"', ONE, True),
        ("null", "null", f'"{OTHER}"', ONE, False),
        ("null", None, f'"{OTHER}"', ONE, False),
        ("v1", None, f'"{OTHER}"', ONE, False),
        ("v1", "v1", f'"{OTHER}"', ONE, True),
        ("null", "null", f'"{OTHER}"', f"{ONE}-3", True),  # as SeaweedFS has them of one and the same content
        ("null", "null", f'"{OTHER}-3"', ONE, True),
        ("null", "null", None, ONE, True),
        ("null", "null", f'"{OTHER}"', "", True),
    ],
)
def test_where_the_version_does_not_tell_the_md5_sum_does(
    version_id: str, named: str | None, found: str | None, recorded: str, right: bool
) -> None:
    client: Any = Client(answer(VersionId=named, ETag=found))
    reader = BucketReader(client, "bucket1", 1)
    if right:
        assert reader.read_range("key", version_id, 10, 20, etag=recorded) == DATA[10:20]
    else:
        with pytest.raises(BadResponse, match=rf"it was overwritten \(its ETag was {ONE}, and is {OTHER}\)"):
            reader.read_range("key", version_id, 10, 20, etag=recorded)


def test_a_body_that_is_longer_is_not_read_to_its_end() -> None:
    assert read(answer(body=Body(DATA))) == DATA[:10]


def test_a_body_that_breaks_off() -> None:
    with pytest.raises(Unreachable, match="no usable answer"):
        read(answer(body=Body(DATA[10:15], breaks=ConnectionResetError("reset"))))


def test_it_asks_as_often_as_it_is_told() -> None:
    broken = [answer(body=Body(DATA[10:15], breaks=TimeoutError("silence"))), answer(ContentLength=1)]
    assert read(*broken, answer(), attempts=3) == DATA[10:20]
    with pytest.raises(BadResponse):
        read(answer(ContentLength=1), attempts=3)


@pytest.mark.parametrize("error", [AccessDenied("no"), S3Error("HTTP 416")])
def test_a_clear_no_is_asked_once(error: RwmError) -> None:
    client: Any = Client(error)
    with pytest.raises(type(error)):
        BucketReader(client, "bucket1", 4).read_range("key", "v1", 0, 1)
    assert len(client.asked) == 1


def test_what_nobody_wants_any_more_is_left_between_two_chunks() -> None:
    size = 3 * CHUNK
    body = Body(bytes(size))
    wanted = iter([True, False])
    with pytest.raises(Cancelled, match="nobody wants it any more"):
        read(answer(0, size, body), start=0, stop=size, attempts=4, wanted=lambda: next(wanted))
    assert body.closed
