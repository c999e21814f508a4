"""Links to a server."""

from __future__ import annotations

from bench.network import LINKS, Link, open_link


def test_the_plain_link_has_no_proxy_and_counts_nothing() -> None:
    plain, slow = LINKS
    assert plain.is_plain and not slow.is_plain and not Link("wide", 0.01, None).is_plain
    with open_link(plain, "http://127.0.0.1:1") as line:
        line.reset_traffic()
        assert (line.endpoint, line.get_traffic()) == ("http://127.0.0.1:1", None)
