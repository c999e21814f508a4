"""The parts of a copy, and how long an answer to a copy is awaited."""

from __future__ import annotations

from itertools import pairwise
from threading import Barrier, Event
from unittest.mock import MagicMock

import pytest

from rwm.config import Credentials, S3Settings
from rwm.s3 import connect, part_ranges
from rwm.s3.client import COPY_TIMEOUT, READ_TIMEOUT
from rwm.s3.part_copy import COPY_PART, MAX_PARTS, copy_in_parts


@pytest.mark.parametrize("size", [1, COPY_PART, COPY_PART + 1, 5 << 30, COPY_PART * MAX_PARTS, 5 << 40])
def test_the_parts_are_the_object_and_no_server_has_too_many(size: int) -> None:
    ranges = [tuple(map(int, span.removeprefix("bytes=").split("-"))) for span in part_ranges(size)]
    assert len(ranges) <= MAX_PARTS
    assert ranges[0][0] == 0
    assert ranges[-1][1] == size - 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))
    assert all(last - first < max(COPY_PART, size // MAX_PARTS + 1) for first, last in ranges)


def test_a_copy_is_awaited_longer_than_other_answers() -> None:
    s3 = connect(S3Settings("http://127.0.0.1:1", Credentials("a", "b")), attempts=2)
    config: object = s3.patient.meta.config
    assert getattr(config, "read_timeout", 0) == COPY_TIMEOUT > READ_TIMEOUT
    assert getattr(config, "retries", {})["total_max_attempts"] == 2
    assert s3.patient is s3.patient


def test_an_upload_is_aborted_when_no_part_is_copied_any_more() -> None:
    """A part that arrives after that would stay."""
    client, calls, begun = MagicMock(), [], Barrier(2)
    client.create_multipart_upload.return_value = {"UploadId": "u1"}

    def copy_part(**request: int) -> object:
        begun.wait()
        if request["PartNumber"] == 1:
            raise OSError("gone")
        ended.wait(0.2)  # without the order that is tested, the abort comes first
        calls.append("part")
        return MagicMock()

    def abort(**_: str) -> None:
        calls.append("abort")
        ended.set()

    ended = Event()
    client.upload_part_copy.side_effect = copy_part
    client.abort_multipart_upload.side_effect = abort
    with pytest.raises(OSError, match="gone"):
        copy_in_parts(client, {"Bucket": "b", "Key": "k"}, {"Bucket": "b", "Key": "k"}, 2 * COPY_PART, {}, {})
    assert calls == ["part", "abort"]


def test_a_copy_that_fails_leaves_no_upload() -> None:
    client = MagicMock()
    client.create_multipart_upload.return_value = {"UploadId": "u1"}
    client.upload_part_copy.side_effect = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        copy_in_parts(client, {"Bucket": "b", "Key": "k", "VersionId": "v"}, {"Bucket": "b", "Key": "k"}, 5, {}, {})
    client.abort_multipart_upload.assert_called_once_with(Bucket="b", Key="k", UploadId="u1")
    client.complete_multipart_upload.assert_not_called()
