"""The contract of a reader: exactly the requested bytes, or an error."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest

from rwm.config import Credentials, S3Settings
from rwm.errors import AccessDenied, BadResponse, Cancelled, RwmError, S3Error, Unreachable
from rwm.s3 import S3
from rwm.s3.reader import CHUNK, BucketReader

DATA = bytes(range(256)) * 10
Response = dict[str, Any] | Exception


class Body(io.BytesIO):
    """Returns at most ``step`` bytes at a time, and raises ``error`` at the end if that is set."""

    def __init__(self, data: bytes, step: int = 1 << 30, error: Exception | None = None) -> None:
        super().__init__(data)
        self._step = step
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(self._step if size is None or size < 0 else min(size, self._step))
        if not data and self._error:
            raise self._error
        return data


class Client:
    """Gives these responses to GetObject in turn, the last one forever."""

    def __init__(self, *responses: Response) -> None:
        self._responses = list(responses)
        self.requests: list[dict[str, Any]] = []

    def get_object(self, **parameters: Any) -> dict[str, Any]:
        self.requests.append(parameters)
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, Exception):
            raise response
        return response


def response(start: int = 10, stop: int = 20, body: Body | None = None, **other: Any) -> dict[str, Any]:
    """A correct response, with other fields replaced; None removes a field."""
    fields = {
        "Body": body or Body(DATA[start:stop]),
        "VersionId": "v1",
        "ContentLength": stop - start,
        "ContentRange": f"bytes {start}-{stop - 1}/{len(DATA)}",
    } | other
    return {name: value for name, value in fields.items() if value is not None}


def read(
    *responses: Response, start: int = 10, stop: int = 20, attempts: int = 1, wanted: Callable[[], bool] = lambda: True
) -> bytes:
    client: Any = Client(*responses)
    return bytes(BucketReader(client, "bucket1", attempts).read_range("key", "v1", start, stop, wanted))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_request_and_result() -> None:
    client: Any = Client(response())
    assert BucketReader(client, "bucket1").read_range("key", "v1", 10, 20) == DATA[10:20]
    assert client.requests == [{"Bucket": "bucket1", "Key": "key", "VersionId": "v1", "Range": "bytes=10-19"}]


def test_data_is_read_into_the_allocated_buffer() -> None:
    client: Any = Client(response())
    buffers: list[bytearray] = []

    def allocate(size: int) -> bytearray:
        buffers.append(bytearray(size))
        return buffers[-1]

    s3 = S3(S3Settings("http://127.0.0.1:1", Credentials("key", "secret")), client)
    data = s3.reader("bucket1", allocate=allocate).read_range("key", "v1", 10, 20)
    assert isinstance(data, memoryview)
    assert data.obj is buffers.pop()
    assert not buffers


def test_an_empty_range_makes_no_request() -> None:
    client: Any = Client(response())
    assert BucketReader(client, "bucket1").read_range("key", "v1", 5, 5) == b""
    assert client.requests == []


@pytest.mark.parametrize(
    "valid",
    [
        response(VersionId=None),
        response(body=Body(DATA[10:20], step=1)),
        response(ContentRange="bytes 10-19/*"),
        response(ContentRange="bytes 10-19"),
    ],
)
def test_valid_responses_in_other_forms(valid: dict[str, Any]) -> None:
    assert read(valid) == DATA[10:20]


def test_a_range_from_the_start_needs_no_content_range() -> None:
    assert read(response(0, 20, ContentRange=None), start=0) == DATA[:20]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (response(VersionId="other"), "answered with version other"),
        (response(ContentRange="bytes 11-20/2560"), "received 'bytes 11-20' for bytes 10 to 20"),
        (response(ContentRange="bytes 10-20/2560"), "received 'bytes 10-20'"),
        (response(ContentRange="pages 10-19/2560"), "received 'pages 10-19'"),
        (response(ContentRange="x" * 1000), "received 'x{60}'"),
        (response(ContentRange=None), "received the start of the object for bytes 10 to 20"),
        (response(ContentLength=None), "received no length for bytes 10 to 20"),
        (response(ContentLength=11), "received 11 bytes for bytes 10 to 20"),
        (
            response(ContentLength=len(DATA), ContentRange=None, body=Body(DATA)),
            "received 2560 bytes for bytes 10 to 20",
        ),
        (response(body=Body(DATA[10:19])), "received 9 bytes for bytes 10 to 20"),
        (response(body=Body(b"")), "received 0 bytes for bytes 10 to 20"),
    ],
)
def test_invalid_responses_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadResponse, match=message):
        read(wrong)
    assert wrong["Body"].closed


ONE, OTHER = hashlib.md5(b"1").hexdigest(), hashlib.md5(b"2").hexdigest()


@pytest.mark.parametrize(
    ("version_id", "named", "found", "recorded", "is_accepted"),
    [
        ("null", "null", f'"{ONE}"', ONE, True),
        ("null", None, ONE, ONE, True),
        ("null", None, f'W/"{ONE}"', ONE, True),
        ("null", "null", f'"{OTHER}"', ONE, False),
        ("null", None, f'"{OTHER}"', ONE, False),
        ("v1", None, f'"{OTHER}"', ONE, False),
        ("v1", "v1", f'"{OTHER}"', ONE, True),
        ("null", "null", f'"{OTHER}"', f"{ONE}-3", True),  # SeaweedFS, for the same content
        ("null", "null", f'"{OTHER}-3"', ONE, True),
        ("null", "null", None, ONE, True),
        ("null", "null", f'"{OTHER}"', "", True),
    ],
)
def test_etags_are_compared_where_the_version_is_mutable(
    version_id: str, named: str | None, found: str | None, recorded: str, is_accepted: bool
) -> None:
    client: Any = Client(response(VersionId=named, ETag=found))
    reader = BucketReader(client, "bucket1", 1)
    if is_accepted:
        assert reader.read_range("key", version_id, 10, 20, etag=recorded) == DATA[10:20]
    else:
        with pytest.raises(BadResponse, match=rf"it was overwritten \(its ETag was {ONE}, and is {OTHER}\)"):
            reader.read_range("key", version_id, 10, 20, etag=recorded)


def test_a_longer_body_is_not_read_to_its_end() -> None:
    assert read(response(body=Body(DATA))) == DATA[:10]


def test_a_body_that_is_cut_off_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="no usable answer"):
        read(response(body=Body(DATA[10:15], error=ConnectionResetError("reset"))))


def test_number_of_attempts() -> None:
    broken = [response(body=Body(DATA[10:15], error=TimeoutError("timed out"))), response(ContentLength=1)]
    assert read(*broken, response(), attempts=3) == DATA[10:20]
    with pytest.raises(BadResponse):
        read(response(ContentLength=1), attempts=3)


@pytest.mark.parametrize("error", [AccessDenied("no"), S3Error("HTTP 416")])
def test_a_refusal_is_not_retried(error: RwmError) -> None:
    client: Any = Client(error)
    with pytest.raises(type(error)):
        BucketReader(client, "bucket1", 4).read_range("key", "v1", 0, 1)
    assert len(client.requests) == 1


def test_an_unwanted_read_is_cancelled_between_chunks() -> None:
    size = 3 * CHUNK
    body = Body(bytes(size))
    wanted = iter([True, False])
    with pytest.raises(Cancelled, match="cancelled by the caller"):
        read(response(0, size, body), start=0, stop=size, attempts=4, wanted=lambda: next(wanted))
    assert body.closed
