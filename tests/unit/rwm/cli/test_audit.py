"""``rwm audit``: text, JSON, acknowledgements, exit codes, and what it does without an index."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import AccessDenied, Unreachable
from rwm.times import DAY, iso
from rwm.trust import LocationAudit
from tests.histories.bucket import Bucket
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import AUDIT, HERE, Place
from tests.unit.terminal import Terminal


@pytest.fixture
def place(rwm_: Terminal, s3: MemoryS3) -> Place:
    return Place(rwm_, s3)


def test_a_clean_bucket(place: Place) -> None:
    state = place.capture()
    text = place.text()
    assert text.startswith("bucket1 is clean as far as its history reaches\n")
    assert f"rwmfs -c here.conf mount bucket1 --at {state[:12]} /mnt/repo" in text
    found = place.audit()
    assert (found["verdict"], found["last_clean"], found["findings"]) == ("clean", state, [])
    assert [(one["id"], one["verdict"], one["findings"]) for one in found["states"]] == [(state, "clean", [])]
    assert found["repositories"][0]["versions"] > 20


@pytest.mark.parametrize("object_lock", [False, True])
@pytest.mark.parametrize(("account", "samples"), [("admin", 1), ("user1", 0)])
def test_acls_are_sampled_for_the_admin_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, account: str, samples: int, object_lock: bool
) -> None:
    sampled: list[LocationAudit] = []
    monkeypatch.setattr("rwm.trust.add_acl_findings", lambda _, audit: sampled.append(audit))
    place.s3.account, place.s3.object_lock = account, object_lock
    place.capture()
    place.audit()
    assert [set(audit.acl_samples) for audit in sampled] == [{""}] * samples


def test_many_repositories_and_long_names_do_not_hide_the_findings(place: Place) -> None:
    place.capture()
    for number in range(30):
        name = f"junk{number}/{'long' * 60}"
        for key in ("config", f"keys/{'ab' * 32}", f"data/00/{'00' * 32}"):
            place.bucket.put(f"{name}/{key}", 0)
    text = place.text(code=4)
    lines = text.splitlines()
    assert len(lines) < 70
    assert max(map(len, lines)) < 250
    assert "… and 20 more repositories of which removals are not judged" in text


@pytest.mark.parametrize("prefix", ["", "host1/"])
def test_a_state_file_that_was_removed_is_a_proof(rwm_: Terminal, s3: MemoryS3, prefix: str) -> None:
    place = Place(rwm_, s3, prefix)
    place.capture(f"bucket1/{prefix}".rstrip("/"))
    (key,) = {version.key for version in place.bucket.listing() if "rwm/states/" in version.key}
    place.bucket.now += 3600_000
    place.bucket.delete(key)
    found = place.audit(code=4)
    assert [(finding["code"], finding["key"]) for finding in found["findings"]] == [("removed-state-file", key)]
    assert [one["verdict"] for one in found["states"]] == ["clean"]


def test_versions_of_a_recorded_state_that_are_gone(place: Place) -> None:
    older, gone = place.capture(), place.repository.files("data")[0]
    place.bucket.now += DAY
    run(place.bucket, place.repository.backup(2))
    newer = place.capture()
    place.bucket.remove_version(gone, place.bucket.newest(gone).version_id)
    first, found = place.audit(), place.audit()  # the first one records that the states are not whole
    assert first["findings"] == found["findings"]
    assert (found["last_clean"], found["counts"]) == (None, {"incomplete-state": 2})
    assert [(one["id"], one["verdict"], one["missing_versions"]) for one in found["states"]] == [
        (older, "review", 1),
        (newer, "review", 1),
    ]
    detail = found["findings"][0]["detail"]
    objects = found["states"][0]["objects"]
    assert detail == (
        f"state {older[:12]}: 1 of its {objects} versions are not in the bucket: no rwm prune since then is recorded"
    )
    assert detail in place.text()


def test_a_state_that_a_prune_ended_names_it(place: Place) -> None:
    """Its file stays in the bucket, so `--again` records it again."""
    older = place.capture()
    place.bucket.now += DAY
    run(place.bucket, place.repository.forget(1))
    place.capture()
    place.load()
    assert place.rwm(*HERE, "prune", "bucket1", "--keep-last", "1", "--force", "--yes") == 0, place.rwm.err
    assert place.rwm(*HERE, "state", "sync", "bucket1", "--again") == 0, place.rwm.err
    assert place.rwm(*AUDIT, "--json") == 0, place.rwm.err
    (finding,) = json.loads(place.rwm.out)["findings"]
    assert (finding["code"], finding["version_id"]) == ("incomplete-state", older)
    assert re.search(r"versions are not in the bucket: pruned by rwm prune on 20[-0-9T:]+Z$", finding["detail"])


def test_an_attack(place: Place) -> None:
    good = place.capture()
    key = place.delete_pack()
    bad = place.capture()
    text = place.text(code=4)
    assert text.startswith("bucket1: 1 proof of an attack or a fault, the first at 20")
    assert "unlocked-removal" in text and key in text
    assert f"last clean state: {good[:12]}" in text
    assert "1 proof of an attack or a fault" in place.rwm.err
    found = place.audit(code=4)
    (finding,) = found["findings"]
    assert (finding["code"], finding["level"], finding["key"]) == ("unlocked-removal", "proof", key)
    assert finding["acknowledged"] is False
    assert {one["id"]: one["verdict"] for one in found["states"]} == {good: "clean", bad: "suspect"}
    assert found["states"][1]["findings"] == [finding["id"]]
    assert (found["verdict"], found["last_clean"]) == ("suspect", good)
    assert place.audit(code=4)["findings"] == [finding], "ids are the same in every audit"


def test_the_text_says_by_which_clock_it_judges(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "clock" not in place.text()
    server_time = place.s3.server_time
    monkeypatch.setattr(place.s3, "server_time", lambda bucket: server_time(bucket) - 7_200_000)
    monkeypatch.setattr("rwm.s3.clock.time.sleep", lambda seconds: None)
    assert "\nthe Date header of the server is 2h behind the clock of the objects, by which the " in place.text()
    found = place.audit()
    assert found["clock"]["measured"] and abs(found["clock"]["date_ahead"] + 7200) <= 1
    assert found["judged_until"] == found["audited_at"]

    def denied(bucket: str, key: str) -> int:
        raise AccessDenied("CreateMultipartUpload is denied")

    monkeypatch.setattr(place.s3, "stamp_time", denied)
    text = place.text()
    found = place.audit()
    assert found["clock"] == {"measured": False, "date_ahead": 0}
    assert "these keys cannot measure the clock of the objects: what happened until 20" in text
    newest = max(entry.last_modified for entry in place.bucket.listing())
    assert found["judged_until"] == iso(newest // 1000 * 1000), "not until the Date header"


def test_without_a_clean_state_the_newest_quiet_second_is_named(place: Place) -> None:
    before = place.bucket.now
    place.delete_pack()
    place.capture()
    text = place.text(code=4)
    assert "no recorded state is clean; the bucket was clean and quiet at " in text
    at = place.audit(code=4)["last_clean_at"]
    assert "\n  rwm -c here.conf audit bucket1 --capture\n" in text
    assert iso(before // 1000 * 1000) < at
    found = place.audit("--capture", code=4)
    assert found["last_clean_at"] == at
    assert [one["id"] for one in found["states"] if one["captured_at"] == at] == [found["last_clean"]]


def test_verdicts_are_recorded_for_states_that_were_audited_as_a_whole(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    whole, part = place.capture(), place.capture("bucket1/host1")

    def verdicts() -> dict[str, Any]:
        with place_index(rwm_) as index:
            return {state.info.id: state.verdict for state in index.recorded()}

    place.load()
    assert rwm_(*HERE, "audit", "bucket1/host1") == 0
    assert verdicts() == {whole: None, part: "clean"}
    place.audit()
    assert verdicts() == {whole: "clean", part: "clean"}


def place_index(rwm_: Terminal) -> Any:
    from rwm.index import Index

    return Index.open(rwm_.directory / "here.sqlite")


def test_findings_of_one_prefix_do_not_touch_the_verdict_on_another(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3, "host1/", "host2/")
    place.delete_pack(place.repositories[0])
    states = {prefix: place.capture(f"bucket1/{prefix}") for prefix in ("host1", "host2")} | {"": place.capture()}
    found = place.audit(code=4)
    verdicts = {one["id"]: one["verdict"] for one in found["states"]}
    assert verdicts == {states["host1"]: "suspect", states["host2"]: "clean", states[""]: "suspect"}
    assert rwm_(*HERE, "audit", "bucket1/host2") == 0
    assert rwm_(*HERE, "audit", "bucket1/host1") == 4


class TestAcknowledgement:
    @pytest.mark.parametrize("by", ["id", "code"])
    def test_an_acknowledged_proof_counts_no_longer_and_stays_visible(self, place: Place, by: str) -> None:
        place.delete_pack()
        state = place.capture()
        (finding,) = place.audit(code=4)["findings"]
        found = place.audit("--ack", finding[by], "--note", "we did it")
        assert [one["acknowledged"] for one in found["findings"]] == [True]
        assert (found["verdict"], found["last_clean"]) == ("clean", state)
        text = place.text()
        assert text.startswith("bucket1 is clean as far as its history reaches (1 finding acknowledged)\n")
        assert "(acknowledged)" in text
        assert place.audit("--withdraw", finding[by], code=4)["verdict"] == "suspect"
        assert place.rwm(*AUDIT, "--withdraw", finding[by]) == 2

    def test_an_acknowledgement_ends_with_the_audit(self, place: Place) -> None:
        place.delete_pack()
        place.audit("--ack", "unlocked-removal", "--note", "we did it")
        place.delete_pack()
        assert [one["acknowledged"] for one in place.audit(code=4)["findings"]] == [True, False]

    def test_it_lists_the_bucket_once(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.delete_pack()
        place.capture()
        (finding,) = place.audit(code=4)["findings"]
        listed: list[str] = []
        batches = place.s3.version_batches

        def counted(bucket: str, prefix: str = "", **more: Any) -> Any:
            listed.append(prefix)
            return batches(bucket, prefix, **more)

        monkeypatch.setattr(place.s3, "version_batches", counted)
        place.text(code=4)
        once = sorted(listed)
        listed.clear()
        place.text("--ack", finding["id"], "--note", "we did it")
        assert sorted(listed) == once != []

    def test_what_is_not_known_is_not_acknowledged_and_no_verdict_is_recorded(self, place: Place) -> None:
        state = place.capture()
        place.load()
        assert place.rwm(*AUDIT, "--ack", "nothing", "--note", "x") == 2
        assert "`rwm -c here.conf audit bucket1` shows the ids and codes" in place.rwm.err
        assert place.rwm(*HERE, "state", "list", "bucket1", "--json") == 0
        assert [(one["id"], one["verdict"]) for one in json.loads(place.rwm.out)] == [(state, None)]
        assert place.rwm(*AUDIT, "--withdraw", "nothing") == 2

    @pytest.mark.parametrize(
        "words",
        [("--ack", "unlocked-removal"), ("--note", "x"), ("--ack", "nothing", "--note", "x"), ("--withdraw", "x")],
    )
    def test_usage(self, place: Place, words: tuple[str, ...]) -> None:
        place.load()
        assert place.rwm(*AUDIT, *words) == 2

    def test_a_note_is_required(self, place: Place) -> None:
        place.delete_pack()
        place.load()
        assert place.rwm(*AUDIT, "--ack", "unlocked-removal", "--note", " ") == 2


class TestConfiguration:
    def test_a_rule_is_turned_off(self, place: Place) -> None:
        place.delete_pack()
        place.rwm.configure("here", audit={"except": ["unlocked-removal"]})
        assert place.audit()["findings"] == []

    def test_an_unknown_code_is_an_error(self, place: Place) -> None:
        place.rwm.configure("here", audit={"except": ["unlocked-removals"]})
        assert place.rwm(*AUDIT) == 2
        assert "audit.except: unlocked-removals is not the code of a rule" in place.rwm.err
        assert len(place.rwm.err.splitlines()) == 2, "the error and its hint"


def test_rules(rwm_: Terminal) -> None:
    from rwm.trust import RULES

    assert rwm_("audit", "--rules") == 0
    assert rwm_.out.count("(proof)") + rwm_.out.count("(hint)") == len(RULES)
    assert rwm_("audit", "--rules", "--json") == 0
    assert [rule["code"] for rule in json.loads(rwm_.out)] == [rule.code for rule in RULES]
    assert {*map(tuple, json.loads(rwm_.out))} == {("code", "level", "what", "why")}


def test_a_bucket_is_required(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_(*HERE, "audit") == 2


def test_a_bucket_without_restic_is_an_error(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.buckets["bucket1"] = {}
    assert rwm_(*AUDIT) == 1
    assert "bucket1 has no restic repository, and never had one" in rwm_.err
    assert rwm_.out == ""


def test_all_shows_every_listed_finding(place: Place) -> None:
    for _ in range(12):
        place.delete_pack()
    assert "… and 2 more of unlocked-removal" in place.text(code=4)
    assert place.text("--all", code=4).count("removed while no restic held a lock") == 12


def test_hostile_names_stay_text(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3, "a\x1b[31m/")
    key = "a\x1b[31m/data/00/\x1b]0;owned\x07\n"
    place.bucket.put(key, 10)
    text = place.text(code=4)
    assert "foreign-name" in text
    assert not [character for character in text + rwm_.err if not character.isprintable() and character != "\n"]
    assert place.audit(code=4)["findings"][0]["key"] == key


def test_no_index_is_needed_and_none_is_made(place: Place) -> None:
    place.delete_pack()
    assert place.audit(code=4)["last_clean_at"] is not None
    assert not (place.rwm.directory / "here.sqlite").exists()


def test_an_index_that_cannot_be_written_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from rwm.errors import IndexUnusable
    from rwm.index.audits import Audits

    def refuse(*_: object) -> None:
        raise IndexUnusable("index: attempt to write a readonly database")

    state = place.capture()
    monkeypatch.setattr(Audits, "record", refuse)
    assert place.audit()["last_clean"] == state
    assert "the verdicts are not recorded" in place.rwm.err


def test_a_listing_that_fails_half_way_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = place.s3.version_batches

    def failing(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Any:
        yield from batches(bucket, prefix, page_size=page_size)
        if prefix == "index/":
            raise Unreachable("ListObjectVersions bucket1: timeout")

    monkeypatch.setattr(place.s3, "version_batches", failing)
    place.load()
    assert place.rwm(*AUDIT) == 1
    assert place.rwm.out == ""


def test_a_contradicted_state_is_a_proof(place: Place) -> None:
    from rwm.index import Index

    place.capture()
    with Index.open(Path("here.sqlite")) as index:
        index._connection.execute("UPDATE state SET trust = 'contradicted'")
    assert place.text(code=4).startswith("bucket1: 1 proof of an attack or a fault, the first at 20")
    found = place.audit(code=4)
    assert found["counts"] == {"contradicted-state": 1}
    assert (found["verdict"], found["states"][0]["verdict"]) == ("clean", "suspect")
    place.rwm.configure("here", audit={"except": ["contradicted-state"]})
    assert place.audit()["findings"] == []


def test_a_state_whose_versions_were_pruned_is_to_be_reviewed(place: Place) -> None:
    from rwm.index import Index

    place.capture()
    with Index.open(Path("here.sqlite")) as index:
        index._connection.execute("UPDATE state SET trust = 'unknown'")
    found = place.audit()
    assert found["states"][0]["verdict"] == "review"
    assert found["last_clean"] is None


def test_what_was_created_during_a_capture_is_judged(place: Place) -> None:
    """A capture keeps keys that were created after its second, so a state may have a foreign name from later."""
    place.load()
    foreign = Bucket(now=place.s3.now + 2500)
    foreign.put("data/00/foreign", 10)
    place.s3.buckets["bucket1"]["data/00/foreign"] = foreign.history("data/00/foreign")
    assert place.rwm(*HERE, "state", "capture", "bucket1", "--json") == 0
    state = json.loads(place.rwm.out)
    (version,) = foreign.listing()
    assert iso(version.last_modified) > state["captured_at"]
    place.bucket.add(version)
    place.bucket.now = place.s3.now
    found = place.audit(code=4)
    assert [(one["verdict"], len(one["findings"])) for one in found["states"]] == [("suspect", 1)]
    found = place.audit("--ack", "foreign-name", "--note", "ours")
    assert [one["verdict"] for one in found["states"]] == ["clean"]


# --- the page ----------------------------------------------------------------------------------------


def test_a_page_is_written_beside_the_text(place: Place) -> None:
    state = place.capture()
    text = place.text("--html", "page.html")
    page = Path("page.html").read_text()
    assert text.startswith("bucket1 is clean as far as its history reaches\n")
    assert "page written to page.html" in place.rwm.err
    assert "bucket1 is clean as far as its history reaches." in page
    assert f"rwmfs -c here.conf mount bucket1 --at {state[:12]}" in page
    assert place.audit("--html", "page.html")["verdict"] == "clean"


def test_a_page_of_an_attacked_bucket_is_written_and_the_exit_code_stays(place: Place) -> None:
    key = place.delete_pack()
    place.text("--html", "page.html", code=4)
    assert key in Path("page.html").read_text()


def test_a_page_on_stdout_is_all_that_is_printed_there(place: Place) -> None:
    text = place.text("--html", "-")
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")


@pytest.mark.parametrize("other", ["--json", "--bisect"])
def test_a_page_on_stdout_beside_other_output_is_refused(place: Place, other: str) -> None:
    assert place.rwm(*AUDIT, "--html", "-", other) == 2
    assert "both write to stdout" in place.rwm.err


def test_a_file_that_is_no_page_is_refused_before_the_listing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(place.s3, "version_batches", failing)
    Path("notes").write_text("mine")
    assert place.rwm(*AUDIT, "--html", "notes") == 5
    assert Path("notes").read_text() == "mine"
