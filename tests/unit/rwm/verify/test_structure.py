"""A state against one listing."""

from __future__ import annotations

import pytest

from rwm.errors import BadResponse
from rwm.verify import Problem
from tests.unit.rwm.verify.verify_setup import BUCKET, VerifySetup


def test_a_whole_state_has_no_problem_however_old_it_is(setup: VerifySetup) -> None:
    setup.put()
    first = setup.capture()
    for key in setup.keys[:3]:
        setup.s3.delete(BUCKET, key)
    setup.s3.put(BUCKET, setup.keys[4], b"overwritten")
    setup.put(packs=2)
    for info in (first, setup.capture()):
        report, problems = setup.structure(info)
        assert problems == []
        assert (report.checked, report.bytes) == (info.objects, info.bytes)
        assert report.structure() == (report.started, info.objects, info.bytes, info.bytes, 0, "admin@host1")


def test_each_missing_version_is_named(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    gone = sorted([setup.keys[0], setup.keys[5], "config"])
    versions = {key: setup.s3.present(BUCKET)[key] for key in gone}
    setup.s3.put(BUCKET, setup.keys[0], b"another version of it stays")
    for key, version in versions.items():
        setup.s3.remove(BUCKET, key, version)
    report, problems = setup.structure(info)
    assert problems == [Problem("missing", key, versions[key]) for key in gone]
    assert (report.faults, report.checked) == (3, info.objects - 3)
    assert report.provable_bytes == 20


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"size": 11}, "another size (11, not 10)"),
        ({"etag": "other"}, "another ETag"),
        ({"last_modified": 1}, "another time"),
        ({"is_marker": True}, "it is a delete marker"),
    ],
)
def test_each_differing_version_is_named(setup: VerifySetup, change: dict[str, object], why: str) -> None:
    setup.put()
    info = setup.capture()
    key = setup.keys[-1]
    setup.s3.buckets[BUCKET][key] = [setup.s3.buckets[BUCKET][key][0]._replace(**change)]  # type: ignore[arg-type]
    report, problems = setup.structure(info)
    assert [(one.kind, one.key) for one in problems] == [("wrong", key)]
    assert why in problems[0].why
    assert (report.faults, report.checked) == (1, info.objects - 1)


def test_nothing_is_said_of_a_state_whose_listing_is_cut_short(
    setup: VerifySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.put()
    info = setup.capture()

    def cut_off(*_: object, **__: object) -> object:
        raise BadResponse("a page is missing")

    monkeypatch.setattr(setup.s3, "version_batches", cut_off)
    with pytest.raises(BadResponse):
        setup.structure(info)
    monkeypatch.undo()
    assert setup.structure(info)[1] == []
