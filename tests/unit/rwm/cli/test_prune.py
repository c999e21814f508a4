"""``rwm prune``: plan, confirmation, exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rwm.model import ObjectVersion
from rwm.times import DAY, SECOND
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.audit_place import Place
from tests.unit.rwm.cli.state_helpers import list_states
from tests.unit.rwm.verify.verify_setup import named
from tests.unit.states import name_another_version
from tests.unit.terminal import Terminal


def test_a_dry_run_prints_the_plan_and_deletes_nothing(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    before = s3.counts("bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--dry-run", "--json") == 0
    plan = json.loads(rwm_.out)
    assert {name: plan[name] for name in ("versions", "markers", "bytes", "kept_versions", "locked", "too_young")} == {
        "versions": 2, "markers": 0, "bytes": 3, "kept_versions": 2, "locked": 0, "too_young": 0,
    }  # fmt: skip
    assert plan["refused"] == []
    assert s3.counts("bucket1") == before
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
    assert "deleted 2 versions and 0 markers" in rwm_.out
    assert replaced[-1] == s3.present("bucket1")["notes"]


@pytest.mark.usefixtures("replaced")
def test_a_minimum_age_of_thousands_of_years_is_a_time_before_all(rwm_: Terminal, s3: MemoryS3) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    prune = ("-c", "here.conf", "prune", "bucket1")
    assert rwm_(*prune, "--keep-last", "1", "--min-age", "9999y", "--plan-out", "plan") == 0, rwm_.err
    assert rwm_(*prune, "--plan", "plan", "--yes") == 0, rwm_.err
    assert s3.deleted == []


def test_prune_without_a_terminal_needs_yes(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    with Path(os.devnull).open() as nothing, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", nothing)
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1") == 2
        assert "Permanently delete 2 versions and markers?\n  confirm with --yes" in rwm_.err
        s3.delete_versions("bucket1", [("notes", replaced[0])])
        s3.deleted.clear()
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1") == 2
        assert "Permanently delete 1 version or marker?" in rwm_.err
    assert s3.deleted == []


def test_prune_without_a_state_is_refused(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 5
    assert "rwm -c here.conf state capture bucket1" in rwm_.err


def test_failed_deletions_are_reported_with_exit_code_3(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    s3.stuck["notes", replaced[0]] = "AccessDenied"
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes", "--json") == 3
    document = json.loads(rwm_.out)
    assert document["failures"] == [{"key": "notes", "version_id": replaced[0], "code": "AccessDenied"}]
    assert document["versions"] == 1


def test_an_index_in_which_somebody_changed_a_kept_state_deletes_nothing(
    rwm_: Terminal, s3: MemoryS3, replaced: list[str]
) -> None:
    """The state would be complete with another version, and the one that it had would be deleted."""
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0
    plan = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "1")
    assert rwm_(*plan, "--plan-out", "plan") == 0
    s3.put("bucket1", "notes", b"x" * 4)
    name_another_version(Path("here.sqlite"), "notes", replaced[0])
    for words in (plan, (*plan, "--force"), ("-c", "here.conf", "prune", "bucket1", "--plan", "plan")):
        assert rwm_(*words, "--yes") == 1
        assert "has other entries than its id says: somebody changed the file, or it is damaged" in rwm_.err
        assert "move the index away, then `rwm -c here.conf state sync BUCKET` rebuilds it" in rwm_.err
    assert s3.deleted == []


def test_findings_refuse_and_are_overridden_by_name(rwm_: Terminal, s3: MemoryS3) -> None:
    content, key = b"p" * 300, b"k" * 440
    pack = f"host1/{named('data', content)}"
    for name, body in (("host1/config", b"c" * 155), (f"host1/{named('keys', key)}", key), (pack, content)):
        s3.put("bucket1", name, body)
    s3.now += SECOND
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1/host1") == 0
    s3.now += SECOND
    s3.put("bucket1", pack, b"garbage")
    s3.now += SECOND
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1/host1") == 0
    prune = ("-c", "here.conf", "prune", "bucket1/host1", "--keep-last", "1", "--yes")
    assert rwm_(*prune) == 5
    assert "is suspect: other-content; a proof of an attack" in rwm_.err
    assert "is younger than the newest clean state kept" in rwm_.err  # which fills the slot
    assert "nothing was deleted; `rwm -c here.conf audit bucket1/host1` shows the findings" in rwm_.err
    assert "--force prunes anyway" in rwm_.err
    assert rwm_(*prune, "--force") == 0
    assert "overridden: the newest kept state" in rwm_.err and "is suspect: other-content" in rwm_.err
    assert s3.deleted == []
    for code in ("other-content", "written-twice"):
        assert rwm_("-c", "here.conf", "audit", "bucket1/host1", "--ack", code, "--note", "a test") in (0, 4)
    assert rwm_(*prune, "--json") == 5
    assert "cannot be used: its content" in rwm_.err and "suspect" not in rwm_.err


def test_keys_that_may_not_read_versions_are_refused_in_a_line(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3)
    place.capture()
    s3.denied |= set(s3.buckets["bucket1"])
    prune = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "1")
    assert rwm_(*prune, "--yes") == 6
    message, hint = rwm_.err.splitlines()
    assert message.startswith("rwm: prune of bucket1: this account may not read versions") and len(message) < 160
    assert hint == "  nothing was deleted; prune with the configuration of the admin (-c FILE)"
    assert rwm_(*prune, "--dry-run", "--json") == 6
    assert len(json.loads(rwm_.out)["refused"]) > 3
    s3.denied.remove(next(key for key in s3.denied if key.startswith("keys/")))
    assert rwm_(*prune, "--yes") == 5
    reasons = rwm_.err.splitlines()[0].removeprefix("rwm: prune of bucket1 refused: ").split("; ")
    assert all("cannot be used" in reason for reason in reasons)


@pytest.fixture
def machines(rwm_: Terminal, s3: MemoryS3) -> None:
    """Two machines with a state each and something to prune; nobody captured the whole bucket."""
    for prefix in ("host1", "host2"):
        s3.put("bucket1", f"{prefix}/notes", b"12")
        s3.put("bucket1", f"{prefix}/notes", b"3")
        assert rwm_("-c", "here.conf", "state", "capture", f"bucket1/{prefix}") == 0


@pytest.mark.usefixtures("machines")
def test_the_plan_shows_each_location(rwm_: Terminal) -> None:
    prune = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--dry-run")
    assert rwm_(*prune, "--json") == 0
    plan = json.loads(rwm_.out)
    assert (plan["bucket"], plan["prefix"], plan["versions"], plan["uncovered"]) == ("bucket1", "", 2, 1)
    assert [(place["prefix"], place["versions"], place["bytes"]) for place in plan["locations"]] == [
        ("host1/", 1, 2), ("host2/", 1, 2),
    ]  # fmt: skip
    assert [id_ for place in plan["locations"] for id_ in place["kept_states"]] == plan["kept_states"]
    assert rwm_(*prune) == 0
    assert [line.split() for line in rwm_.out.splitlines()[1:5] if "---" not in line] == [
        ["location", "kept", "states", "lost", "states", "delete:", "versions", "size", "keep:", "needed", "versions"],
        ["bucket1/host1", "1", "0", "1", "2", "B", "1"],
        ["bucket1/host2", "1", "0", "1", "2", "B", "1"],
    ]
    assert "covered by no kept state" in rwm_.out


@pytest.mark.usefixtures("machines")
def test_a_prefix_is_pruned_alone(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "prune", "bucket1/host1", "--keep-last", "1", "--yes", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["prefix"], document["versions"]) == ("host1/", 1)
    assert [key for key, _ in s3.deleted] == ["host1/notes"]


@pytest.mark.usefixtures("machines")
def test_a_refusal_names_the_location_and_what_prunes_the_rest(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.remove("bucket1", "host1/notes", s3.present("bucket1")["host1/notes"])
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 5
    assert "prune of bucket1 refused: bucket1/host1: the newest kept state " in rwm_.err
    assert "nothing was deleted; `rwm -c here.conf prune bucket1/host2` prunes the rest" in rwm_.err
    assert s3.deleted == []
    assert rwm_("-c", "here.conf", "prune", "bucket1/host1", "--keep-last", "1", "--yes") == 5
    assert "prune of bucket1/host1 refused: the newest kept state " in rwm_.err
    assert "prunes the rest" not in rwm_.err


@pytest.fixture
def several(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """Ids of five states, an hour apart, each with a file of its own that the next one lacks."""
    found = []
    for number in range(5):
        s3.put("bucket1", "notes", b"x" * (number + 1))
        s3.now += 3600 * SECOND
        assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json") == 0
        found.append(json.loads(rwm_.out)["id"])
    s3.now += SECOND
    return found


def kept(rwm_: Terminal, *words: str) -> list[str]:
    assert rwm_("-c", "here.conf", "prune", "bucket1", *words, "--dry-run", "--json") == 0, rwm_.err
    states: list[str] = json.loads(rwm_.out)["kept_states"]
    return states


def test_rules_of_the_configuration_are_overridden_one_by_one(rwm_: Terminal, several: list[str]) -> None:
    rwm_.configure("here", keep={"last": 2, "daily": 1})
    assert kept(rwm_) == several[3:]
    assert kept(rwm_, "--keep-hourly", "3") == several[2:]
    assert kept(rwm_, "--keep-last", "0") == several[4:]
    assert kept(rwm_, "--keep-last", "0", "--keep-within", "3h") == several[2:]
    assert kept(rwm_, "--keep-state", several[0]) == [several[0], *several[3:]]
    assert kept(rwm_, "--keep-last", "unlimited") == several


def test_a_value_that_is_no_rule_is_a_usage_error(rwm_: Terminal, several: list[str]) -> None:
    for option, value in (("--keep-daily", "some"), ("--keep-within", "30"), ("--keep-last", "-1")):
        assert rwm_("-c", "here.conf", "prune", "bucket1", option, value) == 2
        assert f"Invalid value for '{option}'" in rwm_.err
    assert rwm_("-c", "here.conf", "prune", "bucket1") == 2
    assert "`keep` in the configuration" in rwm_.err


def test_a_simulation_shows_what_the_rules_will_keep(rwm_: Terminal, s3: MemoryS3, several: list[str]) -> None:
    s3.denied = {"ListObjectVersions"}
    prune = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "2", "--keep-daily", "3", "--simulate", "10d")
    assert rwm_(*prune, "--json") == 0
    ((place),) = json.loads(rwm_.out)
    assert (place["bucket"], place["prefix"], place["rhythm_seconds"] // 100) == ("bucket1", "", 36)
    assert [state["id"] for state in place["states"]] == several
    assert [state["kept"] for state in place["states"]] == [True, False, False, True, True]
    assert place["rows"][0]["kept"] == place["rows"][0]["recorded"] == 3  # one is of the day before
    assert place["rows"][-1]["kept"] in (4, 3) and place["rows"][-1]["recorded"] == 0
    assert len(place["rows"]) == 11
    assert rwm_(*prune) == 0
    lines = rwm_.out.splitlines()
    assert lines[0] == "bucket1: a state every 1h, as the newest ones"
    assert lines[1].split("  ")[0].strip() == "after" and lines[3].split()[0] == "now"
    assert lines[-1] == "2 recorded states would be dropped by a prune now"
    assert rwm_(*prune[:-1], "90y") == 0
    assert rwm_.out.startswith("bucket1: a state every 1d, not every 1h: too many to simulate\n")
    assert "only rough; simulate a shorter time" in rwm_.err
    assert s3.deleted == []


def test_a_simulation_needs_rules_states_and_a_span(rwm_: Terminal, s3: MemoryS3) -> None:
    prune = ("-c", "here.conf", "prune", "bucket1", "--simulate")
    assert rwm_(*prune, "400d") == 2 and "no rule keeps a state" in rwm_.err
    assert rwm_(*prune, "0", "--keep-last", "1") == 2 and "from 1d to 100y" in rwm_.err
    assert rwm_(*prune, "400d", "--keep-last", "1") == 1 and "no clean state of bucket bucket1" in rwm_.err


class TestStoredPlan:
    """``--plan-out`` and ``--plan``."""

    @pytest.fixture
    def plan(self, rwm_: Terminal, s3: MemoryS3, replaced: list[str], tmp_path: Path) -> str:
        path = str(tmp_path / "plan")
        rwm_("-c", "here.conf", "state", "capture", "bucket1")
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--plan-out", path) == 0
        assert f"`rwm -c here.conf prune bucket1 --plan {path}` executes the plan" in rwm_.out
        assert s3.deleted == []
        return path

    def test_is_executed(self, rwm_: Terminal, s3: MemoryS3, plan: str, replaced: list[str]) -> None:
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--plan", plan, "--dry-run", "--json") == 0
        assert json.loads(rwm_.out)["versions"] == 2
        assert s3.deleted == []
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--plan", plan, "--yes") == 0
        assert "deleted 2 versions and 0 markers" in rwm_.out
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--plan", plan, "--yes") == 0
        assert "deleted 0 versions and 0 markers" in rwm_.out
        assert replaced[-1] == s3.present("bucket1")["notes"]

    def test_is_not_overwritten(self, rwm_: Terminal, plan: str) -> None:
        before = Path(plan).read_bytes()
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--plan-out", plan) == 5
        assert Path(plan).read_bytes() == before

    def test_of_another_bucket_is_refused(self, rwm_: Terminal, s3: MemoryS3, plan: str) -> None:
        s3.create_bucket("bucket2")
        assert rwm_("-c", "here.conf", "prune", "bucket2", "--plan", plan, "--yes") == 5
        assert "is a plan of bucket1, not of bucket2" in rwm_.err

    def test_leaves_what_was_locked_since(self, rwm_: Terminal, s3: MemoryS3, plan: str, replaced: list[str]) -> None:
        """The server refuses it, and says why: then it is known."""
        s3.object_lock = True
        s3.locked["notes", replaced[0]] = "legal hold"
        execute = ("-c", "here.conf", "prune", "bucket1", "--plan", plan, "--yes", "--json")
        assert rwm_(*execute) == 3
        document = json.loads(rwm_.out)
        assert (document["versions"], document["failures"]) == (1, [])
        assert [found["version_id"] for found in document["found_locked"]] == [replaced[0]]
        assert "1 of 2 versions and markers were not deleted because they are locked" in rwm_.err
        assert rwm_(*execute) == 0
        document = json.loads(rwm_.out)
        assert (document["versions"], document["locked"]) == (0, 1)

    def test_takes_no_other_rules(self, rwm_: Terminal, plan: str) -> None:
        for option in (("--keep-last", "1"), ("--min-age", "1d"), ("--keep-state", "latest"), ("--plan-out", "x")):
            assert rwm_("-c", "here.conf", "prune", "bucket1", "--plan", plan, *option) == 2

    def test_is_not_written_when_the_prune_is_refused(self, rwm_: Terminal, s3: MemoryS3, tmp_path: Path) -> None:
        path = tmp_path / "none"
        prune = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--plan-out", str(path))
        assert rwm_(*prune) == 5
        assert rwm_(*prune, "--json") == 5
        assert json.loads(rwm_.out)["refused"] != []
        assert not path.exists()


def test_states_of_an_attacker_push_no_clean_one_out(rwm_: Terminal, s3: MemoryS3) -> None:
    place = Place(rwm_, s3)
    clean = [place.capture()]
    place.bucket.now += DAY
    run(place.bucket, place.repository.backup(2))
    place.bucket.now += DAY
    clean.append(place.capture())
    place.delete_pack()
    place.bucket.now += DAY
    suspect = [place.capture() for _ in range(4)]
    prune = ("-c", "here.conf", "prune", "bucket1", "--keep-last", "2", "--keep-daily", "1")
    assert rwm_(*prune, "--dry-run", "--json") == 5
    plan = json.loads(rwm_.out)
    assert plan["kept_states"] == [*clean, *suspect]
    assert (
        "note: 4 states of bucket1 not found clean and kept until judged: `rwm -c here.conf audit bucket1` shows why"
        in rwm_.err
    )
    assert plan["lost_states"] == []
    assert rwm_(*prune, "--yes", "--force") == 0  # the proof stays one
    assert {state["id"] for state in list_states(rwm_, conf=("-c", "here.conf", "state"))} == {*clean, *suspect}
    assert rwm_("-c", "here.conf", "state", "forget", *suspect[:3], "--yes") == 0
    assert rwm_(*prune, "--dry-run", "--json") == 5
    assert json.loads(rwm_.out)["kept_states"] == [*clean, suspect[3]]


def test_old_unfinished_uploads_are_aborted(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.uploads = [("rwm/states/clock", "old", s3.now - 2 * DAY), ("data/a", "running", s3.now - DAY // 2)]
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--dry-run") == 0
    assert "abort: unfinished uploads" in rwm_.out
    assert len(s3.uploads) == 2
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--min-age", "3d", "--yes") == 0
    assert len(s3.uploads) == 2
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
    assert "aborted 1 unfinished upload\n" in rwm_.out
    assert [upload for _, upload, _ in s3.uploads] == ["running"]


@pytest.mark.parametrize("is_stored", [False, True])
def test_one_listing_serves_audit_and_plan(
    rwm_: Terminal, s3: MemoryS3, replaced: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    s3.put("bucket1", "data/a", b"1")
    s3.now += 10 * SECOND
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    keep = ("--keep-last", "1")
    path = str(tmp_path / "plan")
    assert rwm_("-c", "here.conf", "prune", "bucket1", *keep, "--plan-out", path) == 0
    listed: list[str] = []
    plain = s3.version_batches

    def list_and_count(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        listed.append(prefix)
        return plain(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", list_and_count)
    rules = ("--plan", path) if is_stored else keep
    assert rwm_("-c", "here.conf", "prune", "bucket1", *rules, "--dry-run") == 0
    data = [prefix for prefix in listed if not prefix.startswith("rwm/")]
    assert data and len(data) == len(set(data))


class TestLog:
    """``--log``."""

    def test_shows_what_was_kept_and_deleted(self, rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
        assert rwm_("-c", "here.conf", "prune", "--log") == 0
        assert "no prune is recorded" in rwm_.out
        rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json")
        kept = json.loads(rwm_.out)["id"]
        s3.stuck["notes", replaced[0]] = "AccessDenied"
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 3
        assert "1 of 2 versions and markers were not deleted (AccessDenied: 1)" in rwm_.err
        for location in ((), ("bucket1",)):
            assert rwm_("-c", "here.conf", "prune", *location, "--log", "--json") == 0
            (report,) = json.loads(rwm_.out)
            assert (report["bucket"], report["kept_states"], report["lost_states"]) == ("bucket1", [kept], [])
            assert (report["versions"], report["bytes"], report["removed"]) == (1, 2, {"replaced": 1})
            assert report["failures"] == {"AccessDenied": 1}
            assert report["at"] < report["ended_at"]
        assert rwm_("-c", "here.conf", "prune", "--log") == 0
        assert kept[:8] in rwm_.out
        assert rwm_("-c", "here.conf", "prune", "bucket9", "--log", "--json") == 0
        assert json.loads(rwm_.out) == []

    def test_a_prune_is_recorded_in_the_bucket(self, rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
        rwm_("-c", "here.conf", "state", "capture", "bucket1")
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
        assert [key for key in s3.present("bucket1") if key.startswith("rwm/admin/operations/") and "-prune-" in key]

    def test_what_was_removed_and_why_is_printed(self, rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
        rwm_("-c", "here.conf", "state", "capture", "bucket1")
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
        rwm_("-c", "here.conf", "prune", "bucket1", "--log", "--json")
        prune_id = json.loads(rwm_.out)[0]["id"]
        show = ("-c", "here.conf", "prune", "bucket1", "--removed", prune_id[:8])
        assert rwm_(*show) == 0
        assert [line.split()[::4] for line in rwm_.out.splitlines()] == [["replaced", found] for found in replaced[:2]]
        assert rwm_(*show, "--json") == 0
        lines = [json.loads(line) for line in rwm_.out.splitlines()]
        assert [(line["key"], line["version_id"], line["why"]) for line in lines] == [
            ("notes", version, "replaced") for version in replaced[:2]
        ]
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--removed", "ffff") == 2
        assert "no prunes of bucket1 have an id that begins with ffff" in rwm_.err

    def test_one_that_deletes_nothing_is_not_recorded(self, rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
        rwm_("-c", "here.conf", "state", "capture", "bucket1")
        for _ in range(2):
            assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
        assert rwm_("-c", "here.conf", "prune", "--log", "--json") == 0
        assert len(json.loads(rwm_.out)) == 1

    def test_a_prune_without_a_bucket_is_a_usage_error(self, rwm_: Terminal) -> None:
        assert rwm_("-c", "here.conf", "prune", "--keep-last", "1") == 2
        assert "say which bucket to prune" in rwm_.err


def test_a_dropped_state_says_when_it_was_pruned(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json")
    dropped = json.loads(rwm_.out)["id"]
    s3.now += SECOND
    s3.put("bucket1", "notes", b"newer")
    s3.now += SECOND
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
    for command in ("show", "verify"):
        assert rwm_("-c", "here.conf", "state", command, dropped[:10]) == 1
        assert f"state {dropped[:12]} (2023-" in rwm_.err
        assert ") was pruned on 2023-" in rwm_.err
        assert len(rwm_.err.strip().splitlines()) <= 2  # the message and its hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--log", "--as-lifecycle"], "--log and --as-lifecycle exclude each other"),
        (["--simulate", "400d", "--plan", "file"], "--simulate and --plan exclude each other"),
        (["--min-age", "6m"], "'6m' can mean minutes or months"),
    ],
)
def test_options_of_two_meanings_are_refused(
    rwm_: Terminal, s3: MemoryS3, replaced: list[str], options: list[str], message: str
) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes", *options) == 2
    assert message in rwm_.err
    assert s3.deleted == []


def test_a_lifecycle_rule_is_printed_and_not_applied(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1/host1", "--keep-last", "1", "--as-lifecycle") == 0
    assert json.loads(rwm_.out)["Rules"][0]["Filter"] == {"Prefix": "host1/"}
    assert "What it cannot express" in rwm_.err
    assert s3.rules == {} and s3.deleted == []
