"""``rwm state verify``, and what other commands say of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rwm.cli.state_verify import verify
from rwm.errors import IndexUnusable, Unreachable
from rwm.index.verification import Verifications
from rwm.verify import RepositoryCheck
from tests.unit.memory import MemoryS3
from tests.unit.states import name_another_version
from tests.unit.terminal import Terminal

VERIFY = ("-c", "here.conf", "state", "verify", "latest", "-b", "bucket1")
LIST = ("-c", "here.conf", "state", "list")


def pack(content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    return f"data/{name[:2]}/{name}"


@pytest.fixture
def packs(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """Four packs of 10 bytes in a state."""
    contents = [bytes([number]) * 10 for number in range(4)]
    for content in contents:
        s3.put("bucket1", pack(content), content)
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0
    return sorted(map(pack, contents))


def document(rwm_: Terminal, *words: str, code: int = 0) -> dict[str, Any]:
    assert rwm_(*VERIFY, *words, "--json") == code, rwm_.err
    found: dict[str, Any] = json.loads(rwm_.out)
    return found


def test_structure(rwm_: Terminal, packs: list[str]) -> None:
    assert rwm_(*VERIFY) == 0
    assert rwm_.out == "in the bucket as the state has it: 5 versions, 42 B\n"
    found = document(rwm_)
    assert (found["level"], found["checked"], found["bytes"], found["bucket"]) == ("structure", 5, 42, "bucket1")
    assert found["wrong"] == found["missing"] == found["unchecked"] == found["archived"] == []


def test_a_state_that_somebody_changed_in_the_index(rwm_: Terminal, s3: MemoryS3, packs: list[str]) -> None:
    other = s3.put("bucket1", packs[0], b"another")
    name_another_version(Path("here.sqlite"), packs[0], other)
    assert rwm_(*VERIFY) == 1
    assert "has other entries than its id says" in rwm_.err


def test_a_state_whose_versions_were_pruned_says_how_many_are_missing(
    rwm_: Terminal, s3: MemoryS3, packs: list[str]
) -> None:
    for key in packs[:2]:
        s3.remove("bucket1", key, s3.present("bucket1")[key])
    assert rwm_(*VERIFY) == 4
    assert [line.split()[:2] for line in rwm_.out.splitlines()[:2]] == [["missing", key] for key in packs[:2]]
    assert "of 5 versions, 2 are missing" in rwm_.err
    assert document(rwm_, code=4)["missing"] == packs[:2]
    assert document(rwm_, "--content", code=4)["missing"] == packs[:2]


def test_content_is_proved_once(rwm_: Terminal, packs: list[str]) -> None:
    assert rwm_(*VERIFY, "--content") == 0
    assert "read: 5 versions, 42 B\nproved by SHA-256, now or before: 4 versions, 100 % of 40 B" in rwm_.out
    assert "the content cannot be proved: config (1)" in rwm_.err
    found = document(rwm_, "--content")
    assert (found["level"], found["checked"], found["unproved"]) == ("content", 1, ["config"])
    assert found["proved"] == {"objects": 4, "bytes": 40, "of_bytes": 40}
    assert document(rwm_, "--content", "--again")["checked"] == 5


def test_content_of_a_bucket_without_a_repository_is_not_proved(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "notes.txt", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    found = document(rwm_, "--content", code=3)
    assert found["unproved"] == ["config", "notes.txt"]
    assert "nothing is proved" in rwm_.err


def test_a_sample_prints_its_seed(rwm_: Terminal, packs: list[str]) -> None:
    found = document(rwm_, "--content=1")
    assert found["proved"]["objects"] == 1
    assert f"--seed {found['seed']}" in rwm_.err
    again = ("--content=1", "--again", "--seed", "5")
    assert document(rwm_, *again)["seed"] == 5
    assert document(rwm_, "--content")["seed"] is None


def test_wrong_content(rwm_: Terminal, s3: MemoryS3, packs: list[str]) -> None:
    s3.wrong[packs[1]] = b"0123456789"
    assert rwm_(*VERIFY, "--content") == 4
    assert f"wrong {packs[1]} (version " in rwm_.out
    (wrong,) = document(rwm_, "--content", code=4)["wrong"]
    assert (wrong["key"], wrong["version_id"]) == (packs[1], s3.present("bucket1")[packs[1]])


def test_what_cannot_be_read_is_partly_done(
    rwm_: Terminal, s3: MemoryS3, packs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: object) -> Iterator[bytes]:
        raise Unreachable("timeout")

    monkeypatch.setattr(s3, "stream", stream)
    monkeypatch.setattr(s3, "retry_seconds", 0, raising=False)
    assert rwm_(*VERIFY, "--content") == 3
    assert "not checked config" in rwm_.out
    assert "of 5 versions, 5 are not checked" in rwm_.err
    found = document(rwm_, "--content", code=3)
    assert {one["key"] for one in found["unchecked"]} == {"config", *packs}
    assert rwm_(*LIST) == 0
    assert "content 0 %" in rwm_.out


def test_archived_versions_are_partly_done(rwm_: Terminal, s3: MemoryS3, packs: list[str]) -> None:
    s3.archive("bucket1", packs[0])
    assert rwm_(*VERIFY) == 0
    assert document(rwm_, "--content", code=3)["archived"] == [packs[0]]


@pytest.mark.parametrize(
    "words",
    [("--content", "--restic"), ("--again",), ("--seed", "1"), ("--content=0",), ("--content=all",), ("--restic=200",)],
)
def test_usage(rwm_: Terminal, packs: list[str], words: tuple[str, ...]) -> None:
    assert rwm_(*VERIFY, *words) == 2


def test_options_with_an_optional_value_take_no_argument(rwm_: Terminal, packs: list[str]) -> None:
    assert rwm_("-c", "here.conf", "state", "verify", "--content", "latest", "-b", "bucket1") == 0
    assert "--content[=PCT]" in verify.get_help(verify.make_context("verify", [], resilient_parsing=True))


def test_a_state_without_a_repository_is_not_checked_by_restic(rwm_: Terminal, packs: list[str]) -> None:
    assert rwm_(*VERIFY, "--restic") == 1
    assert "has no restic repository: nothing was checked" in rwm_.err


def test_list_and_show_say_what_was_verified(rwm_: Terminal, s3: MemoryS3, packs: list[str]) -> None:
    def listed() -> tuple[str, dict[str, Any]]:
        assert rwm_(*LIST) == 0
        table = rwm_.out
        assert rwm_(*LIST, "--json") == 0
        return table, json.loads(rwm_.out)[0]

    table, found = listed()
    assert " verified " in table
    assert found["verified_structure_at"] is found["verified_content_at"] is found["faults"] is None
    rwm_(*VERIFY)
    table, found = listed()
    assert " structure " in table
    assert found["verified_structure_at"] is not None
    rwm_(*VERIFY, "--content=1")
    assert "content 25 %" in listed()[0]
    rwm_(*VERIFY, "--content")
    table, found = listed()
    assert "content 100 %" in table
    assert (found["proved_bytes"], found["provable_bytes"], found["faults"]) == (40, 40, 0)
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1") == 0
    assert "verified: content 100 %" in rwm_.err
    s3.remove("bucket1", packs[0], s3.present("bucket1")[packs[0]])
    rwm_(*VERIFY)
    assert "1 fault" in listed()[0]
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1", "--json") == 0
    assert json.loads(rwm_.out)["faults"] == 1


@pytest.mark.parametrize("is_wrong", [False, True])
def test_a_result_that_cannot_be_recorded_is_printed(
    rwm_: Terminal, s3: MemoryS3, packs: list[str], monkeypatch: pytest.MonkeyPatch, is_wrong: bool
) -> None:
    def full(*_: object) -> None:
        raise IndexUnusable("index: disk is full")

    if is_wrong:
        s3.remove("bucket1", packs[0], s3.present("bucket1")[packs[0]])
    monkeypatch.setattr(Verifications, "record", full)
    assert rwm_(*VERIFY) == (4 if is_wrong else 1)
    assert "in the bucket as the state has it: " in rwm_.out
    assert "disk is full" in rwm_.err


@pytest.fixture
def machines(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """A pack of each of two machines, in a state of the whole bucket."""
    keys = [f"{host}/{pack(host.encode())}" for host in ("host1", "host2")]
    for key in keys:
        s3.put("bucket1", key, key[:5].encode())
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0
    return keys


def part(rwm_: Terminal, host: str, *words: str, code: int = 0) -> dict[str, Any]:
    assert rwm_(*VERIFY[:-1], f"bucket1/{host}", *words, "--json") == code, rwm_.err
    found: dict[str, Any] = json.loads(rwm_.out)
    return found


def test_only_the_part_below_a_prefix_is_verified(rwm_: Terminal, s3: MemoryS3, machines: list[str]) -> None:
    s3.remove("bucket1", machines[1], s3.present("bucket1")[machines[1]])
    found = part(rwm_, "host1", "--content")
    assert (found["prefix"], found["checked"], found["missing"]) == ("host1/", 1, [])
    assert found["proved"] == {"objects": 1, "bytes": 5, "of_bytes": 5}
    assert part(rwm_, "host2", code=4)["missing"] == [machines[1]]
    assert "below bucket1/host2: of 1 version, 1 is missing" in rwm_.err
    assert document(rwm_, code=4)["missing"] == [machines[1]]


def test_a_part_makes_no_summary_of_the_state(rwm_: Terminal, machines: list[str]) -> None:
    part(rwm_, "host1", "--content")
    assert rwm_(*LIST, "--json") == 0
    assert json.loads(rwm_.out)[0]["verified_content_at"] is None
    assert document(rwm_, "--content")["checked"] == 2, "config and the pack of host2: that of host1 was read"


def test_a_part_must_be_one(rwm_: Terminal, machines: list[str]) -> None:
    assert rwm_(*VERIFY[:-1], "bucket1/host3") == 1
    assert "has nothing below bucket1/host3" in rwm_.err


def test_restic_checks_the_repositories_of_a_part(
    rwm_: Terminal, s3: MemoryS3, machines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for prefix in ("host1/", "host1/old/", "host10/"):
        for name in ("config", "keys/k", "data/00/p"):
            s3.put("bucket1", prefix + name, b"1")
    s3.now += 10_000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0

    def check(*arguments: Any) -> list[RepositoryCheck]:
        return [RepositoryCheck(one) for one in arguments[2]]

    monkeypatch.setattr("rwm.verify.check_with_restic", check)
    assert part(rwm_, "host1", "--restic")["checked"] == 2
    assert rwm_(*LIST, "--json") == 0
    assert json.loads(rwm_.out)[-1]["verified_restic_at"] is None
    assert document(rwm_, "--restic")["checked"] == 3
    assert rwm_(*VERIFY[:-1], "bucket1/host2", "--restic") == 1
    assert "below bucket1/host2 has no restic repository: nothing was checked" in rwm_.err
