"""Questions about single versions: answers stay in their order, and a version may be deleted meanwhile."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, NotFound
from rwm.model import ObjectVersion
from rwm.trust.ask_sample import THREADS, ask_about

VERSIONS = [ObjectVersion(f"key{number:02}", "v", True, False, number, "", 0) for number in range(3 * THREADS)]


def test_a_version_that_is_gone_has_the_answer_for_it() -> None:
    def ask(version: ObjectVersion) -> int:
        if version.size % 5 == 0:
            raise NotFound("deleted meanwhile")
        return version.size

    assert ask_about(VERSIONS, ask, -1) == [each.size if each.size % 5 else -1 for each in VERSIONS]
    assert ask_about([], ask, -1) == []


def test_another_error_is_raised() -> None:
    def ask(_: ObjectVersion) -> int:
        raise AccessDenied("denied")

    with pytest.raises(AccessDenied):
        ask_about(VERSIONS, ask, -1)
