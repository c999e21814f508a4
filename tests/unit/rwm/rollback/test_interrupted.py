"""What a listing shows of a planned change after a kill."""

from __future__ import annotations

from rwm.model import ObjectVersion, OperationChange
from rwm.rollback.interrupted import find_made

AT = 5000


def version(version_id: str, content: int, time: int) -> ObjectVersion:
    """Content 0 is a delete marker."""
    return ObjectVersion("a", version_id, True, not content, content, f"{content:032x}" if content else "", time)


GOOD, BAD = version("v1", 1, 1000), version("v2", 2, 2000)
COPY = OperationChange("copied", "a", "", "v1", "v2", size=1)
MARK = OperationChange("marked", "a", "", before="v2")
UNMARK = OperationChange("unmarked", "a", "m1", "v1", at=3000)


def test_a_copy_or_marker_above_what_was_current() -> None:
    assert find_made([BAD, GOOD], COPY, AT) == []
    assert find_made([version("v3", 1, AT), BAD, GOOD], COPY, AT) == [COPY._replace(version_id="v3")]
    assert find_made([version("m3", 0, AT), BAD, GOOD], MARK, AT) == [MARK._replace(version_id="m3")]
    assert find_made([version("v3", 3, AT), BAD, GOOD], COPY, AT) == [], "somebody else wrote it"


def test_what_was_written_between_the_plan_and_its_begin_is_not_ours() -> None:
    for planned, entry in ((COPY, version("v3", 1, AT - 1000)), (MARK, version("m3", 0, AT - 1000))):
        assert find_made([entry, BAD, GOOD], planned, AT) == []


def test_what_was_current_is_gone() -> None:
    assert find_made([version("v3", 1, AT), GOOD], COPY, AT) == []


def test_a_delete_marker_that_is_gone() -> None:
    marker = version("m1", 0, 3000)
    assert find_made([marker, GOOD], UNMARK, AT) == []
    assert find_made([GOOD], UNMARK, AT) == [UNMARK]
    assert find_made([], UNMARK, AT) == [], "all of the key is gone, which a roll back never does"
