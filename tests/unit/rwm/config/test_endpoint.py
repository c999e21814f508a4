"""One endpoint for three programs: a URL that they take alike, or an error that says what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.config.endpoint import normalise_endpoint


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:7480", "http://localhost:7480"),
        ("https://s3.example.com/", "https://s3.example.com"),
        (" https://s3.example.com\n", "https://s3.example.com"),
        ("HTTP://S3.Example.COM:80//", "http://s3.example.com:80"),
        ("https://[::1]:8333", "https://[::1]:8333"),
    ],
)
def test_one_form(text: str, url: str) -> None:
    assert normalise_endpoint(text) == url
    assert normalise_endpoint(url) == url


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3.example.com", "no scheme: write https://s3.example.com or http://s3.example.com"),
        ("localhost:7480", "no scheme: write https://localhost:7480"),
        ("ftp://host", "scheme ftp"),
        ("s3:http://host", "no URL|scheme"),
        ("https://", "no host"),
        ("https://:80", "no host"),
        ("https://host:port", "no URL"),
        ("https://host:99999", "no URL"),
        ("https://[::1", "no URL"),
        ("https://host/bucket1", "write https://host$"),
        ("https://host:80/a/b?c=d", "write https://host:80$"),
        ("https://host/#x", "write https://host$"),
        ("https://ho st", "white space"),
        ("https://host\x00", "control characters"),
    ],
)
def test_what_programs_take_differently_is_refused_with_the_right_form(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        normalise_endpoint(text)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="s3_secret_key") as error:
        normalise_endpoint("https://user:hunter2@host")
    assert "hunter2" not in str(error.value)


@given(st.text("htps:/@[].a1 #?%", max_size=14))
def test_any_text_has_one_form_or_is_refused(text: str) -> None:
    try:
        url = normalise_endpoint(text)
    except ValueError:
        return
    assert normalise_endpoint(url) == url
    assert url.startswith(("http://", "https://"))
