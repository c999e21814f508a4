"""Creation of a bucket whose first response was lost."""

from __future__ import annotations

import pytest

from rwm.errors import S3Error
from tests.unit.rwm.s3.responses import Response, Serve

OWNED: Response = (409, {}, b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>")


def test_a_bucket_created_by_an_attempt_with_a_lost_response(serve: Serve) -> None:
    serve((503, {}, b""), OWNED).create_bucket("bucket1")


def test_an_existing_bucket_is_an_error(serve: Serve) -> None:
    with pytest.raises(S3Error, match="BucketAlreadyOwnedByYou"):
        serve(OWNED).create_bucket("bucket1")
