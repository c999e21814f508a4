"""Reading content: what is read, what is recorded, and what is said of the rest."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, Archived, BadResponse, IndexUnusable, NotFound, RwmError, Unreachable
from rwm.model import Entry
from rwm.verify import ContentRun
from rwm.verify.content import MAX_DENIED_AT_START
from tests.unit.memory import of_object
from tests.unit.rwm.verify.verify_setup import BUCKET, VerifySetup, named

AGAIN = ContentRun(again=True, connections=2)


def test_all_is_read_once_for_all_states(setup: VerifySetup) -> None:
    setup.put()
    first = setup.capture()
    report, problems = setup.content(first)
    assert sorted(setup.read) == sorted(["config", *setup.keys])
    assert setup.plan == (len(setup.read), first.bytes)
    assert [(one.kind, one.key) for one in problems] == [("unproved", "config")]
    assert (report.checked, report.proved) == (first.objects, len(setup.keys))
    assert report.content() == (report.started, 7, 70, 70, 0, "admin@host1")
    before = set(setup.keys)
    setup.put(packs=2)
    report, _ = setup.content(setup.capture())
    assert set(setup.read) == {"config", *setup.keys} - before
    assert report.proved == len(setup.keys)
    setup.content(first, AGAIN)
    assert set(setup.read) == {"config", *before}


def test_a_state_of_a_prefix_is_about_what_is_below_it(setup: VerifySetup) -> None:
    setup.put()
    contents = [b"1" * 10, b"2" * 10]
    inner = [f"host1/{named('data', content)}" for content in contents]
    for key, content in zip(inner, contents, strict=True):
        setup.s3.put(BUCKET, key, content)
    info = setup.capture("host1/")
    for key in setup.keys:
        setup.s3.remove(BUCKET, key, setup.s3.present(BUCKET)[key])
    report, problems = setup.content(info)
    assert (problems, sorted(setup.read), report.proved_bytes) == ([], sorted(inner), report.provable_bytes)
    report, _ = setup.content(setup.capture())
    assert setup.read == ["config"], "the versions are the same in a state of the whole bucket"


def test_small_files_are_read_before_packs(setup: VerifySetup) -> None:
    setup.put()
    setup.content(setup.capture())
    assert not any(key.startswith("data/") for key in setup.read[:4])


def test_wrong_content_is_read_twice_and_stays_wrong(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    key = setup.keys[-1]
    setup.replace(key, b"0123456789")
    for reads in (2, 0):
        report, problems = setup.content(info)
        assert setup.read.count(key) == reads
        (wrong,) = [one for one in problems if one.kind == "wrong"]
        assert wrong.key == key
        assert "its SHA-256 is 84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882" in wrong.why
        assert report.faults == report.content().faults == 1
        assert report.proved == len(setup.keys) - 1


def test_a_fault_on_the_way_is_not_recorded(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    key, body = setup.keys[-1], setup.s3.bodies
    original = dict(body)
    setup.replace(key, b"0123456789")
    stream = setup.s3.stream

    def repaired(*arguments: object) -> object:
        found = list(stream(*arguments))  # type: ignore[arg-type]
        if arguments[1] == key:
            body.update(original)
        return iter(found)

    setup.s3.stream = repaired  # type: ignore[method-assign, assignment]
    report, _ = setup.content(info)
    assert (report.faults, report.proved) == (0, len(setup.keys))


@pytest.mark.parametrize("body", [b"", b"012345678", b"01234567890", b"0" * 1000])
def test_content_of_another_size_is_wrong(setup: VerifySetup, body: bytes) -> None:
    setup.put()
    info = setup.capture()
    setup.replace(setup.keys[-1], body)
    _, problems = setup.content(info)
    (wrong,) = [one for one in problems if one.kind == "wrong"]
    assert wrong.why.endswith(" bytes, not 10")


def test_a_wrong_size_of_config_is_found_although_its_content_has_no_hash(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    setup.replace("config", b"x")
    _, problems = setup.content(info)
    assert [(one.kind, one.key) for one in problems] == [("wrong", "config")]


def test_other_files_are_named_and_not_read(setup: VerifySetup) -> None:
    setup.put()
    setup.s3.put(BUCKET, "notes.txt", b"x")
    setup.s3.put(BUCKET, named("locks", b"lock"), b"lock")
    report, problems = setup.content(setup.capture())
    assert {one.key for one in problems} == {"config", "notes.txt", named("locks", b"lock")}
    assert {one.kind for one in problems} == {"unproved"}
    assert "notes.txt" not in setup.read
    assert report.unknown == 0


def test_a_large_file_of_that_name_is_no_config(setup: VerifySetup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.verify.rules.MAX_CONFIG", 10)
    setup.put()
    setup.s3.put(BUCKET, "films/config", b"x" * 11)
    setup.content(setup.capture())
    assert "config" in setup.read
    assert "films/config" not in setup.read


def test_a_result_that_got_lost_is_no_proof(setup: VerifySetup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.put()
    info = setup.capture()
    monkeypatch.setattr(setup.index.verifications, "record_content", lambda *_: None)
    report, problems = setup.content(info)
    assert report.counts["unchecked"] == len(setup.keys)
    assert {one.why for one in problems if one.kind == "unchecked"} == {"no result was recorded"}


def test_earlier_proofs_stay_when_reading_again_fails(setup: VerifySetup) -> None:
    setup.put(packs=50)
    info = setup.capture()
    setup.content(info)
    setup.faults = {key: [Unreachable("timeout")] * 9 for key in setup.keys}
    report, _ = setup.content(info, AGAIN)
    assert report.counts["unchecked"] == len(setup.keys)
    setup.faults.clear()
    assert setup.content(info)[0].proved == len(setup.keys)


def test_archived_versions_are_named_and_not_requested(setup: VerifySetup) -> None:
    setup.put()
    key = setup.keys[-1]
    setup.s3.archive(BUCKET, key)
    setup.faults[setup.keys[-2]] = [Archived("InvalidObjectState")]
    report, problems = setup.content(setup.capture())
    assert key not in setup.read
    assert {one.key for one in problems if one.kind == "archived"} == {key, setup.keys[-2]}
    assert report.unknown == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unreachable("timeout"), "unchecked"),
        (BadResponse("another version"), "unchecked"),
        (AccessDenied("an object that nobody may read"), "unchecked"),
        (of_object(AccessDenied, "data/x", "AccessDenied (HTTP 403)"), "unchecked"),
        (NotFound("NoSuchVersion"), "missing"),
    ],
)
def test_a_version_that_cannot_be_read_is_neither_right_nor_wrong(
    setup: VerifySetup, error: RwmError, kind: str
) -> None:
    setup.put()
    info = setup.capture()
    key = setup.keys[-1]
    setup.faults[key] = [error] * 4
    report, problems = setup.content(info)
    why = "" if kind == "missing" else error.why
    assert [(one.kind, one.why) for one in problems if one.key == key] == [(kind, why)]
    assert report.proved == len(setup.keys) - 1
    setup.faults.clear()
    report, problems = setup.content(info)
    assert set(setup.read) == {"config", key}
    assert report.proved == len(setup.keys)


def test_a_passing_fault_of_the_network_is_retried(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    setup.s3.retry_seconds = 60
    setup.s3._has_answered = True
    setup.s3.sleep = lambda _: None
    setup.faults = {key: [Unreachable("cut off")] * 3 for key in setup.keys}
    assert setup.content(info)[0].proved == len(setup.keys)


def test_no_more_is_requested_once_the_server_does_not_answer(setup: VerifySetup) -> None:
    setup.put(packs=50)
    info = setup.capture()
    setup.faults = {key: [Unreachable("timeout")] * 9 for key in setup.keys if key.startswith("data/")}
    report, problems = setup.content(info)
    assert len(setup.read) < 20
    assert report.counts["unchecked"] == 50
    assert {one.why for one in problems if one.kind == "unchecked"} == {
        "timeout",
        "the server did not answer any more",
    }


def test_keys_that_may_not_read_versions_are_an_error_of_their_own(setup: VerifySetup) -> None:
    setup.put(packs=2 * MAX_DENIED_AT_START)
    info = setup.capture()
    setup.s3.denied.update(setup.keys, ["config"])
    with pytest.raises(AccessDenied):
        setup.content(info)
    assert len(setup.read) < MAX_DENIED_AT_START + 20


def test_known_faults_are_reported_even_if_nothing_may_be_read(setup: VerifySetup) -> None:
    setup.put()
    info = setup.capture()
    setup.s3.denied.update(setup.keys, ["config"])
    setup.s3.remove(BUCKET, setup.keys[0], setup.s3.present(BUCKET)[setup.keys[0]])
    report, _ = setup.content(info)
    assert report.counts == {"missing": 1, "unchecked": 7}


def test_an_interrupted_run_is_continued(setup: VerifySetup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.put(packs=30)
    info = setup.capture()
    record = setup.index.verifications.record_content
    known: set[str] = set()

    def interrupted(bucket: str, results: list[tuple[Entry, str | None]], at: int, by: str) -> None:
        if len(known) >= 5:
            raise KeyboardInterrupt
        known.update(entry.key for entry, _ in results)
        record(bucket, results, at, by)

    monkeypatch.setattr(setup.index.verifications, "record_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.content(info)
    monkeypatch.undo()
    setup.content(info)
    assert set(setup.read) == {"config", *setup.keys} - known


def test_a_full_disk_is_an_error_and_keeps_what_was_recorded(setup: VerifySetup) -> None:
    setup.put(packs=400)
    info = setup.capture()
    connection = setup.index._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(IndexUnusable, match="full"):
        setup.content(info)
    connection.execute("PRAGMA max_page_count = 1000000")
    report, _ = setup.content(info)
    assert report.proved == len(setup.keys) > len(setup.read)


def test_what_another_process_reads_meanwhile_is_not_read_again(
    setup: VerifySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.put(packs=3000)
    info = setup.capture()
    entries = [entry for entry in setup.index.entries(info) if entry.key in setup.keys]
    record = setup.index.verifications.record_content

    def other_verifies(bucket: str, results: list[tuple[Entry, str | None]], at: int, by: str) -> None:
        record(bucket, [*results, *((entry, None) for entry in entries)], at, by)

    monkeypatch.setattr(setup.index.verifications, "record_content", other_verifies)
    report, _ = setup.content(info)
    assert report.proved == len(setup.keys)
    assert len(setup.read) < 1100


def test_a_null_version_that_is_overwritten_in_place_is_read_again(setup: VerifySetup) -> None:
    content = b"0123456789"
    key = named("data", content)
    setup.s3.put(BUCKET, key, content)
    history = setup.s3.buckets[BUCKET]
    setup.s3.bodies["null"] = content
    history[key] = [history[key][0]._replace(version_id="null")]
    first = setup.capture()
    assert setup.content(first)[0].proved == 1
    assert setup.content(first)[1] == []
    assert setup.read == []
    history[key] = [history[key][0]._replace(last_modified=setup.s3.now, etag="other")]
    setup.s3.bodies["null"] = b"9876543210"
    assert [one.why for one in setup.content(first)[1]] == ["the bucket's version has another ETag"]
    assert [one.kind for one in setup.content(setup.capture())[1]] == ["wrong"]
    assert setup.read == [key, key]
