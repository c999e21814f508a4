"""The page server answers HEAD requests as its listing says."""

from __future__ import annotations

import contextlib
import http.client

from bench.page_server import serve_pages
from rwm.times import parse_http_date
from tests.unit.bench.test_pages import listed


def test_head_answers_as_the_listing() -> None:
    version = listed(5000)[17]
    with serve_pages(5000) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        with contextlib.closing(connection):
            answers = {}
            for path in ("/b", f"/b/{version.key}", "/b/snapshots/none"):
                connection.request("HEAD", path)
                answer = connection.getresponse()
                answer.read()
                answers[path] = (answer.status, answer.headers)
    assert [status for status, _ in answers.values()] == [200, 200, 404]
    headers = answers[f"/b/{version.key}"][1]
    assert headers["Content-Length"] == str(version.size)
    assert headers["ETag"].strip('"') == version.etag
    assert headers["x-amz-version-id"] == version.version_id
    assert parse_http_date(headers["Last-Modified"]) == version.last_modified // 1000 * 1000
