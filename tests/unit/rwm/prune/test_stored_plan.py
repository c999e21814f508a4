"""The file of a prune plan."""

from __future__ import annotations

import gzip
import json
import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from rwm.cli.new_file import open_new
from rwm.errors import Refused, RwmError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.prune.deletion_spool import BLOCK, DeletionSpool
from rwm.prune.key_plan import Deletion
from rwm.prune.location_plan import LocationPlan
from rwm.prune.plan import PrunePlan
from rwm.prune.stages import Stage
from rwm.prune.stored_plan import read_plan, write_plan

LOCATION = Location("bucket1", "host1/")
KEPT, LOST, OTHER = (StateInfo(letter * 64, "bucket1", 0, "backup", 1, 1, "ok", "host1/") for letter in "abc")


def make_plan(count: int) -> PrunePlan:
    spool = DeletionSpool()
    for number in range(count):
        key = f"host1/data/ü\n{number:05}"
        spool.add(Stage.VERSIONS, [Deletion(key, f"v{number}", number, "deleted", number, number + 1)])
        spool.add(Stage.MARKERS, [Deletion(key, f"m{number}", 0, "hides-nothing", number + 1, number + 1)])
    places = (LocationPlan(LOCATION, (KEPT,), (LOST,)),)
    return PrunePlan(LOCATION, places, spool.finish(), made_at=2_500, cutoff=1_000)


def written(path: Path, count: int = 2 * BLOCK + 7) -> PrunePlan:
    plan = make_plan(count)
    with open_new(path) as file:
        write_plan(plan, [KEPT.id, LOST.id, OTHER.id], file, force=False)
    return plan


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = written(tmp_path / "plan")
    stored = read_plan(tmp_path / "plan", LOCATION)
    assert (stored.location, stored.made_at, stored.cutoff) == (LOCATION, 2_500, 1_000)
    assert (stored.kept_states, stored.lost_states, stored.other_states) == ((KEPT.id,), (LOST.id,), (OTHER.id,))
    for stage in Stage:
        assert list(stored.deletions.read(stage)) == list(plan.deletions.read(stage))


def test_an_empty_plan(tmp_path: Path) -> None:
    written(tmp_path / "plan", 0)
    assert not read_plan(tmp_path / "plan", LOCATION).deletions.versions


def test_the_file_is_private_and_describes_itself(tmp_path: Path) -> None:
    plan = written(tmp_path / "plan")
    assert stat.S_IMODE((tmp_path / "plan").stat().st_mode) == 0o600
    header, *lines = map(json.loads, gzip.decompress((tmp_path / "plan").read_bytes()).splitlines())
    assert {name: header[name] for name in ("bucket", "prefix", "versions", "markers", "bytes", "cutoff")} == {
        "bucket": "bucket1",
        "prefix": "host1/",
        "versions": len(plan.versions),
        "markers": len(plan.markers),
        "bytes": plan.bytes,
        "cutoff": "1970-01-01T00:00:01Z",
    }
    assert len(lines) == len(plan.versions) + len(plan.markers)
    assert lines[0].keys() >= {"key", "version_id", "kind", "size", "why"}


def test_a_plan_of_another_location_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "plan")
    with pytest.raises(Refused, match=r"is a plan of bucket1/host1, not of bucket1$"):
        read_plan(tmp_path / "plan", Location("bucket1"))


def test_a_file_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "plan", 200)
    content, rng = (tmp_path / "plan").read_bytes(), random.Random(1)
    expected = list(make_plan(200).versions)
    for _ in range(40):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (tmp_path / "plan").write_bytes(changed)
        try:
            stored = read_plan(tmp_path / "plan", LOCATION)
        except Refused:
            continue
        assert list(stored.deletions.versions) == expected  # the header of a gzip file has fields without a meaning


def change_header(name: str, value: Any) -> Any:
    def change(lines: list[bytes]) -> list[bytes]:
        return [json.dumps({**json.loads(lines[0]), name: value}).encode() + b"\n", *lines[1:]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_header("bucket", "other"),
        change_header("prefix", ""),
        change_header("cutoff", "2030-01-01T00:00:00Z"),
        change_header("kept_states", []),
        change_header("other_states", ["f" * 64]),
        lambda lines: lines[:-1],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0], lines[1].replace(b"v0", b"v1"), *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [b"[]\n", *lines[1:]],
        lambda lines: [],
    ],
)
def test_an_altered_plan_is_refused(change: Any, tmp_path: Path) -> None:
    written(tmp_path / "plan", 5)
    lines = gzip.decompress((tmp_path / "plan").read_bytes()).splitlines(keepends=True)
    members = [b"".join(change(lines)[:1]), b"".join(change(lines)[1:])]
    (tmp_path / "plan").write_bytes(b"".join(gzip.compress(member) for member in members if member))
    with pytest.raises(Refused):
        read_plan(tmp_path / "plan", LOCATION)


@pytest.mark.parametrize(
    "content",
    [b"", b"text\n", gzip.compress(b""), gzip.compress(b"{}\n"), b"\x1f\x8b\x08"],
    ids=["empty", "text", "nothing packed", "no header", "cut off"],
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(content)
    with pytest.raises(Refused, match="is not a plan"):
        read_plan(tmp_path / "plan", LOCATION)


def test_a_plan_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "plan")
    content = (tmp_path / "plan").read_bytes()
    for length in range(1, len(content), len(content) // 20):
        (tmp_path / "plan").write_bytes(content[:length])
        with pytest.raises(Refused):
            read_plan(tmp_path / "plan", LOCATION)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RwmError, match="fifo: "):
        read_plan(tmp_path / "fifo", LOCATION)


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RwmError, match="No such file"):
        read_plan(tmp_path / "none", LOCATION)
