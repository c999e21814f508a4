"""Which proxy leads to a server: one decision, which boto3, restic and aws are made to follow."""

from __future__ import annotations

import urllib.request
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.config.proxy import ProxyVariables, is_excluded, without_proxy_variables

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://s3.test", {}, None),
        ("https://s3.test", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://s3.test", {"https_proxy": PROXY}, PROXY),
        ("https://s3.test", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://s3.test", {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ("https://s3.test", {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
        ("http://s3.test", {"HTTPS_PROXY": PROXY}, None),
        ("http://s3.test", {"HTTP_PROXY": "proxy.test:3128"}, PROXY),
        ("https://s3.test", {"HTTPS_PROXY": PROXY, "NO_PROXY": "s3.test"}, None),
        ("https://s3.test", {"HTTPS_PROXY": PROXY, "no_proxy": "other", "NO_PROXY": "s3.test"}, PROXY),
        ("https://10.1.2.3:8333", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://[fd00::1]:8333", {"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, None),
        ("http://127.0.0.1:8333", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:8333", {"HTTP_PROXY": PROXY}, None),
        ("http://localhost:8333", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_of_a_server(url: str, environment: dict[str, str], proxy: str | None) -> None:
    assert ProxyVariables.read(environment).choose(url) == proxy


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "excluded"),
    [
        ("s3.test", 443, "", False),
        ("s3.test", 443, " , ,", False),
        ("s3.test", 443, "*", True),
        ("s3.test", 443, "a, *", True),
        ("s3.test", 443, "test", True),
        ("s3.test", 443, ".test", True),
        ("s3.test", 443, "*.test", True),
        ("s3.test", 443, ".s3.test", True),
        ("S3.test", 443, "s3.TEST", True),
        ("s3.test", 443, "3.test", False),
        ("s3.test", 443, "a.s3.test", False),
        ("s3.test", 443, "other s3.test", True),
        ("s3.test", 443, "s3.test:443", True),
        ("s3.test", 443, "s3.test:80", False),
        ("s3.test", 443, "s3.test:x", False),
        ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.3", 443, "10.1.2.3:443", True),
        ("10.1.2.3", 443, "10.1.2.3:80", False),
        ("10.1.2.3", 443, "10.1.2.0/24", True),
        ("10.1.2.3", 443, "10.1.2.99/24", True),
        ("10.1.2.3", 443, "10.1.3.0/24,x/33", False),
        ("10.1.2.3", 443, "2.3", False),
        ("fd00::1", 443, "fd00::1", True),
        ("fd00::1", 443, "[fd00::1]", True),
        ("fd00::1", 443, "[fd00:0::1]:443", True),
        ("fd00::1", 443, "[fd00::1]:80", False),
        ("fd00::1", 443, "fd00::/8", True),
        ("s3.test", 443, "10.0.0.0/8", False),
        ("s3.test", 443, ".", False),
    ],
)
def test_entries_of_no_proxy(host: str, port: int, no_proxy: str, excluded: bool) -> None:
    assert is_excluded(host, port, no_proxy) == excluded


@given(no_proxy=st.text(alphabet="a.*:/[]0128, ", max_size=12), host=st.sampled_from(["a.a", "10.0.0.8", "::1"]))
def test_any_text_is_understood_or_ignored(no_proxy: str, host: str) -> None:
    is_excluded(host, 443, no_proxy)


entries = st.lists(st.sampled_from(["*", "a.test", ".a.test", "test", "a.test:8", "10.0.0.1", "x"]), max_size=3)


@given(no_proxy=entries.map(",".join), url=st.sampled_from(["http://a.test:8", "http://b.a.test", "http://10.0.0.1"]))
def test_what_python_excludes_is_excluded(no_proxy: str, url: str) -> None:
    """So a server that gets the proxy needs no entry removed for aws."""
    if urllib.request.proxy_bypass_environment(urlsplit(url).netloc, {"no": no_proxy}):  # type: ignore[attr-defined]
        assert ProxyVariables(PROXY, PROXY, no_proxy).choose(url) is None


def test_programs_get_both_cases_of_the_variables() -> None:
    assert ProxyVariables("http://p", "http://q", "x").for_programs("https://s3.test") == {
        "http_proxy": "http://p",
        "HTTP_PROXY": "http://p",
        "https_proxy": "http://q",
        "HTTPS_PROXY": "http://q",
        "no_proxy": "x",
        "NO_PROXY": "x",
    }
    assert ProxyVariables().for_programs("https://s3.test") == {}


@pytest.mark.parametrize(
    ("url", "no_proxy", "given"),
    [
        ("https://10.1.2.3:8333", "10.0.0.0/8", "10.0.0.0/8,10.1.2.3"),
        ("https://[fd00::1]", "fd00::/8", "fd00::/8,fd00::1,[fd00::1]"),
        ("https://s3.test", "s3.test", "s3.test"),
        ("https://127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_a_direct_server_is_named_to_programs(url: str, no_proxy: str, given: str) -> None:
    variables = ProxyVariables(https=PROXY, no_proxy=no_proxy).for_programs(url)
    assert variables["NO_PROXY"] == given
    # What aws does.
    assert urllib.request.proxy_bypass_environment(urlsplit(url).netloc, {"no": given})  # type: ignore[attr-defined]


def test_other_spellings_are_removed() -> None:
    assert without_proxy_variables({"Http_Proxy": "a", "NO_PROXY": "b", "FTP_PROXY": "c"}) == {"FTP_PROXY": "c"}


def test_a_password_in_a_proxy_is_not_shown() -> None:
    assert "hunter2" not in repr(ProxyVariables("http://me:hunter2@proxy"))
